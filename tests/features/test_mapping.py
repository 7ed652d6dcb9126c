"""Single units are measured for every SAE that the table lists, and for no other."""

import numpy as np
import pytest
from planted import random_sae

from mazewm.features import mapping
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize.activations import Activations
from mazewm.localize.locations import Location
from mazewm.maze.tokens import TokenClass
from mazewm.run import Run
from mazewm.sae.files import SaeRow, file_name, folder_of

D_MODEL, N_LATENTS, N = 7, 13, 3
PLACE, SITE = "0.resid_post", Location(0, TokenClass.C2)
KINDS = {
    "trained": ("trained", 0, "topk"),
    "second_seed": ("trained", 1, "topk"),
    "frozen_decoder": ("frozen_decoder", 0, "topk"),
    "frozen_decoder_2": ("frozen_decoder", 1, "topk"),
    "untrained_model": ("untrained_model", 0, "topk"),
    "matryoshka": ("matryoshka", 0, "matryoshka"),
    "relu": ("relu", 0, "relu"),
}


def tokens(path):
    """Six tokens of each connection, which dimensions 1, 3 and 5 tell; those of the untrained model
    tell nothing."""
    rng = np.random.default_rng(len(str(path)))
    connection = np.repeat(np.arange(N), 6)
    values = rng.normal(0, 0.1, (len(connection), D_MODEL)).astype(np.float32)
    if "untrained" not in path.parts:
        values[np.arange(len(connection)), 2 * connection + 1] += 5
    maze = np.arange(len(connection)) % 6
    return Activations(values, maze, maze, maze, np.full(len(connection), "c2"), connection)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose SAEs are on disk, and whose activations are made up."""
    monkeypatch.setattr(mapping, "read", tokens)
    run = Run.named("rotary-all-0", tmp_path)
    for name in ("saes", "random_saes"):
        run.folder(name).mkdir(parents=True)
    rows = []
    for place in (PLACE, "1.resid_post"):
        for kind, (family, draw, activation) in KINDS.items():
            sae = random_sae(D_MODEL, N_LATENTS, activation, k=4)
            sae.save(run.folder(folder_of(kind)) / file_name(place, kind))
            rows.append(SaeRow(place, kind, family, draw, activation, N_LATENTS, 4.0, 0.01, 700))
    tables.write_rows(run.folder("saes") / "saes.parquet", SaeRow, rows)
    return run


def mapped(run, site=SITE):
    found = mapping.FeatureMap()
    mapping._map_singles(run, site, N, found)
    return found


def test_every_listed_sae_has_its_readout_and_draw(run):
    found = mapped(run)
    own = {("latents" if f == "trained" else f, draw) for f, draw, _ in KINDS.values()}
    assert {(row.readout, row.draw) for row in found.boards} == own
    assert {(row.readout, row.draw) for row in found.singles} == own | {
        ("shuffled_labels", 0),
        ("neurons", 0),
    }
    assert len(found.boards) == len(KINDS), "those of another place are left alone"
    dimensions = [row for row in found.singles if row.readout == "neurons"]
    assert [(row.connection, row.unit, row.mcc) for row in dimensions] == [
        (0, 1, pytest.approx(1)),
        (1, 3, pytest.approx(1)),
        (2, 5, pytest.approx(1)),
    ]


@pytest.mark.parametrize("kind", ["second_seed", "frozen_decoder_2", "relu"])
def test_a_lost_file_is_no_smaller_study(run, kind):
    name = file_name(PLACE, kind)
    (run.folder(folder_of(kind)) / name).unlink()
    with pytest.raises(BadInput, match=f"{name}: the file is missing"):
        mapped(run)


def test_a_place_without_saes_is_refused(run):
    with pytest.raises(BadInput, match="saes.parquet: no SAE at 2.resid_post; expected"):
        mapped(run, Location(2, TokenClass.C2))
    (run.folder("saes") / "saes.parquet").unlink()
    with pytest.raises(BadInput, match="saes.parquet: the file is missing"):
        mapped(run)
