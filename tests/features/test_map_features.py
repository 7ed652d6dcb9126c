"""The whole feature map of a run, whose activations say early and late in the prompt by other
dimensions which connection a token encodes."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import plain_sae, sae_of

from mazewm.features import taxonomy
from mazewm.features.mapping import map_features
from mazewm.features.ranking import LatentRow, PositionRow
from mazewm.features.singles import BoardRow, SingleRow
from mazewm.features.trees import FeatureParams, FeatureRow
from mazewm.io import tables, vectors
from mazewm.localize.activations import FILE, TokenLabels
from mazewm.localize.consolidation import FormationRow
from mazewm.localize.locations import PAPER_LOCATION, Location, Locations, WritingSite
from mazewm.maze import mazes
from mazewm.maze.maze import Maze
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import DELIMITER, TokenClass
from mazewm.run import Run
from mazewm.sae.files import SaeRow, file_name

N, D = 4, 10  # connections of a 2 x 2 lattice; dimensions, of which the last two are always 0
READING = Location(1, TokenClass.C2)
TOLD_AT = {READING.place: "c2", PAPER_LOCATION.place: ";"}  # tokens of another class say nothing
SITES = [str(READING), str(PAPER_LOCATION)]
# 40 is the last early position: the median of validation tokens. Half of these are early, and 40 of
# 50 test tokens of each connection
POSITIONS = {"validation": np.arange(21, 61), "test": np.arange(1, 51)}
LENGTHS = {"validation": 2.0, "test": 1.5}
LONE = {"frozen_decoder": (1, 0), "untrained_model": (3, 3)}  # the connection told, by layer


def write_tokens(folder, model, split, place):
    """Early, connection e is dimension e; late, it is dimension e + 4."""
    position = np.tile(POSITIONS[split], 2 * N)
    connection = np.tile(np.repeat(np.arange(N), len(POSITIONS[split])), 2)
    token_class = np.repeat(["c2", ";"], len(position) // 2)
    told = (token_class == TOLD_AT[place]) & ((model == "trained") | (connection == 3))
    values = np.zeros((len(position), D), np.float16)
    values[np.flatnonzero(told), (connection + N * (position > 40))[told]] = LENGTHS[split]
    token = np.full(len(position), DELIMITER)
    columns = position // 5, position, token, token_class, connection
    names = tables.schema_of(TokenLabels).names
    labels = pa.table(dict(zip(names, columns, strict=True))).cast(tables.schema_of(TokenLabels))
    home = folder / model / split / str(place)
    home.mkdir(parents=True)
    vectors.write(home / FILE, TokenLabels, labels, D, [values])


def of_one(e):
    """An SAE whose only latents are the two dimensions of a connection."""
    mask = torch.zeros(D)
    mask[[e, e + N]] = 1
    return sae_of(torch.diag(mask), torch.eye(D))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def found(folder):
    run = Run.named("rotary-all-0", folder)
    for name in ("locations", "saes"):
        run.folder(name).mkdir(parents=True)
    Locations(READING, WritingSite(0, (";",), TokenClass.DELIMITER)).save(run.folder("locations"))
    formed = [FormationRow(layer, "c2", 0.9, 0.1, 0.5, 0.1, 7) for layer in (0, 1)]
    tables.write_rows(run.folder("locations") / "consolidation.parquet", FormationRow, formed)
    ways = [((0, 0), (1, 0)), ((1, 0), (1, 1))]
    mazes.write(run.maze_file("test"), Mazes.of([Maze.of(2, ways, (0, 0), (1, 1))]))
    listed = []
    for place in TOLD_AT:
        for model in ("trained", "untrained"):
            for split in POSITIONS:
                write_tokens(run.folder("activations"), model, split, place)
        saes = {"trained": plain_sae(D), "untrained_model": plain_sae(D)}
        saes["frozen_decoder"] = of_one(LONE["frozen_decoder"][place.layer])
        for kind, sae in saes.items():
            sae.save(run.folder("saes") / file_name(place, kind))
            listed.append(SaeRow(str(place), kind, kind, 0, "relu", D, 1.0, 0.01, 700))
    tables.write_rows(run.folder("saes") / "saes.parquet", SaeRow, listed)
    return map_features(run, FeatureParams(n_candidates=5))


def test_trees_of_every_readout_and_site(found):
    rows = tables.frame(found.features, FeatureRow)
    best = rows.groupby(["site", "readout", "connection"])[["mcc", "balanced_accuracy"]].max()
    assert set(rows.site) == set(SITES)
    for layer, site in ((1, SITES[0]), (0, SITES[1])):
        for readout in ("latents", "neurons", "mean_difference", "linear_probe"):
            assert best.loc[site, readout].mcc.tolist() == [1] * N, (site, readout)
        for readout, lone in LONE.items():
            # any other connection is told only as not being this one: of 200 tokens 150 are named,
            # all 50 right ones among them
            expected = np.full(N, (200 * 50 - 50 * 150) / (50 * 150))
            expected[lone[layer]] = 1
            assert best.loc[site, readout].mcc.to_numpy() == pytest.approx(expected)
        assert best.loc[site, "shuffled_labels"].mcc.max() < 0.5
    assert (rows.n_positive == 50).all() and (rows.n_tokens == 200).all()
    pairs = rows[(rows.readout == "latents") & (rows.depth == 2)]
    assert [list(units) for units in pairs.units] == [[e, e + N] for e in range(N)] * 2


def test_latents_are_ranked_on_validation_tokens(found):
    rows = tables.frame(found.latents, LatentRow)
    assert rows.site.drop_duplicates().tolist() == SITES
    for site in SITES:
        for e in range(N):
            mine = rows[(rows.site == site) & (rows.connection == e)].set_index("latent")
            # five by F1, and the dead ones, for all others are less active here than elsewhere
            assert mine["rank"].tolist() == [0, 1, 2, 3, 4, 8, 9]
            assert mine["rank"][[e, e + N]].tolist() == [0, 1]
            assert mine.mean_on[[e, e + N]].tolist() == [1, 1], "at half of the tokens it is 2"
            assert mine.f1[[e, e + N]].tolist() == [2 * 40 / (40 + 50), 2 * 10 / (10 + 50)]


def test_latents_of_early_and_late_tokens(found):
    rows = tables.frame(found.positions, PositionRow)
    assert len(rows) == 4 * N * len(SITES) and set(rows.site) == set(SITES)
    assert (rows.latent == rows.connection + N * (rows.found_on == "late")).all()
    assert (rows.f1 == (rows.found_on == rows.measured_on)).all()
    sizes = np.where(rows.measured_on == "early", 40, 10)
    assert (rows.n_positive == sizes).all() and (rows.n_tokens == N * sizes).all()


def test_single_units_are_those_of_the_reading_site(found):
    rows = tables.frame(found.singles, SingleRow)
    assert set(rows.site) == {SITES[0]} == {row.site for row in found.boards}
    latents = rows[rows.readout == "latents"]
    assert latents.connection.tolist() == latents.unit.tolist() == list(range(N))
    early_only = (200 * 40 - 50 * 40) / (50 * 150 * 40 * 160) ** 0.5
    assert latents.mcc.to_numpy() == pytest.approx(early_only)
    frozen = rows[rows.readout == "frozen_decoder"].set_index("connection").mcc
    assert frozen[0] == pytest.approx(early_only) and frozen[1:].max() < 0.3


def test_latents_of_both_models_are_classified_at_every_place(found):
    rows = tables.frame(found.kinds, taxonomy.LatentKindRow)
    assert len(rows) == len(TOLD_AT) * 2 * D
    for place, token in TOLD_AT.items():
        for name, told in (("trained", range(N)), ("untrained_model", [3])):
            mine = rows[(rows.place == str(place)) & (rows.sae == name)].set_index("latent")
            kinds = dict.fromkeys(range(D), "dead")
            kinds |= dict.fromkeys(told, "connection") | {e + N: "other" for e in told}
            assert mine.kind.to_dict() == kinds
            assert mine.of[3].endswith(f" at {token}")
            # over the tokens of both classes: 40 of 50 are found, and nothing else
            assert mine.f1[3] == pytest.approx(2 * 40 / (40 + 50))
            assert mine.density[3] == 40 / 400


def test_every_table_has_a_file(found, tmp_path):
    found.write(tmp_path)
    files = {
        "features": (FeatureRow, found.features),
        "latents": (LatentRow, found.latents),
        "positions": (PositionRow, found.positions),
        "taxonomy": (taxonomy.LatentKindRow, found.kinds),
        "singles": (SingleRow, found.singles),
        "boards": (BoardRow, found.boards),
    }
    for name, (row_type, rows) in files.items():
        read = tables.read_columns(tmp_path / f"{name}.parquet", row_type).to_pandas()
        assert len(read) == len(rows) > 0
        assert list(read.iloc[-1].iloc[:2]) == list(vars(rows[-1]).values())[:2]
