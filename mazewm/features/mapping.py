"""The feature map of one run: which latents stand for which connection, and what kind of feature
every latent stands for.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from mazewm.features import singles as of_singles
from mazewm.features import taxonomy, trees
from mazewm.features.ranking import Labelled, LatentRow, PositionRow, early_and_late
from mazewm.features.trees import FeatureParams, SiteTokens
from mazewm.io import tables
from mazewm.io.progress import console, progress
from mazewm.io.streams import stream
from mazewm.localize.activations import Activations, cached_places, read
from mazewm.localize.consolidation import FormationRow
from mazewm.localize.locations import Location, Locations
from mazewm.maze.tokens import Vocabulary
from mazewm.run import Study
from mazewm.sae.files import TRAINED, UNTRAINED_MODEL, listed, load_sae
from mazewm.sae.quality import latents_of


class Source(NamedTuple):
    """Which model's activations are read, and which SAE of the place turns them into latents."""

    model: Literal["trained", "untrained"]
    sae: str  # the kind of SAE, such as "trained" or "frozen_decoder"


READOUTS = {
    "latents": Source("trained", TRAINED),
    "frozen_decoder": Source("trained", "frozen_decoder"),
    "untrained_model": Source("untrained", "untrained_model"),
}
READOUT_OF = {TRAINED: "latents"}  # of a family of SAEs; others have the family's name
CLASSIFIED = {"trained": READOUTS["latents"], "untrained_model": READOUTS["untrained_model"]}


@dataclass(frozen=True)
class FeatureMap:
    """The tables of all locations (``features``, ``latents``, ``positions``), of all places
    (``kinds``), and of the location where connections are read (``singles``, ``boards``)."""

    features: list[trees.FeatureRow] = field(default_factory=list)
    latents: list[LatentRow] = field(default_factory=list)
    positions: list[PositionRow] = field(default_factory=list)
    singles: list[of_singles.SingleRow] = field(default_factory=list)
    boards: list[of_singles.BoardRow] = field(default_factory=list)
    kinds: list[taxonomy.LatentKindRow] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write each table to a parquet file of its own."""
        tables.write_rows(folder / "features.parquet", trees.FeatureRow, self.features)
        tables.write_rows(folder / "latents.parquet", LatentRow, self.latents)
        tables.write_rows(folder / "positions.parquet", PositionRow, self.positions)
        tables.write_rows(folder / "taxonomy.parquet", taxonomy.LatentKindRow, self.kinds)
        tables.write_rows(folder / "singles.parquet", of_singles.SingleRow, self.singles)
        tables.write_rows(folder / "boards.parquet", of_singles.BoardRow, self.boards)


def map_features(run: Study, params: FeatureParams) -> FeatureMap:
    """Map latents to connections at every studied location, with controls and baselines, then
    classify every latent of every place (docs/science.md#feature-map)."""
    # read from a table, so that the model need not be loaded
    folder = run.folder("locations")
    formed = tables.read_filled(folder / "consolidation.parquet", FormationRow)
    known = Locations.load(folder, int(formed.layer.max()) + 1)
    locations = known.studied
    places = cached_places(run.folder("activations") / "trained" / "test")
    vocabulary, found = Vocabulary(run.mazes("test").grid.n), FeatureMap()
    mapped = progress("feature maps", len(locations), share=0.9)
    for location in locations:
        _map_location(run, location, params, vocabulary.grid.n_connections, found)
        mapped.advance()
    _map_singles(run, known.reading, vocabulary.grid.n_connections, found)
    classified = progress("kinds of latents", len(places) * len(CLASSIFIED))
    for place in places:
        for name, source in CLASSIFIED.items():
            tokens = _tokens(run, source, "test", place)
            kinds = taxonomy.classify(
                place,
                name,
                latents_of(load_sae(run, place, source.sae), tokens.values),
                taxonomy.labels(tokens, vocabulary),
            )
            found.kinds.extend(kinds)
            counts = tables.frame(kinds, taxonomy.LatentKindRow).kind.value_counts()
            console.print(
                f"{place} {name}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items())
            )
            classified.advance()
    return found


def _map_singles(run: Study, location: Location, n_connections: int, found: FeatureMap) -> None:
    """The best single units of every SAE that was trained where connections are read, and of the
    residual stream; and the boards of every SAE."""
    site, place = str(location), str(location.place)
    read_at = {
        model: [_tokens(run, Source(model, ""), split, place).at(location.token_class)
                for split in ("validation", "test")]
        for model in ("trained", "untrained")
    }  # fmt: skip

    def add(readout: str, draw: int, fit: Labelled, test: Labelled) -> None:
        for e, unit, chosen, mcc, n in of_singles.best_single(fit, test, n_connections):
            columns = (site, readout, draw, e, unit, chosen, mcc, n, len(test.x))
            found.singles.append(of_singles.SingleRow(*columns))

    for sae in listed(run, place).itertuples():
        readout, draw = READOUT_OF.get(sae.family, sae.family), int(sae.draw)
        parts = read_at["untrained" if sae.family == UNTRAINED_MODEL else "trained"]
        encoded = load_sae(run, place, sae.kind)
        fit, test = (Labelled(latents_of(encoded, part.values), part.connection) for part in parts)
        add(readout, draw, fit, test)
        board = of_singles.boards(fit, test, parts[1].maze_id, n_connections)
        found.boards.append(of_singles.BoardRow(site, readout, draw, *board))
        if sae.kind == TRAINED:
            rng = stream("features: shuffled labels of singles", run.seed)
            moved = (Labelled(each.x, rng.permutation(each.connection)) for each in (fit, test))
            add("shuffled_labels", 0, *moved)
    dimensions = (
        of_singles.both_signs(Labelled(part.values.astype(np.float32), part.connection))
        for part in read_at["trained"]
    )
    add("neurons", 0, *dimensions)
    rows = tables.frame(found.singles, of_singles.SingleRow)
    for readout, mcc in rows.groupby("readout", sort=False).mcc.mean().items():
        console.print(f"{site}: {readout}: MCC of the best single unit {mcc:.3f}")


def _tokens(run: Study, source: Source, split: str, place: str) -> Activations:
    return read(run.folder("activations") / source.model / split / place)


def _map_location(
    run: Study, location: Location, params: FeatureParams, n_connections: int, found: FeatureMap
) -> None:
    place, site = str(location.place), str(location)
    latents: dict[str, SiteTokens] = {}
    seen: dict[str, list[Activations]] = {}  # by model; read once for all of its SAEs
    for readout, source in READOUTS.items():
        if source.model not in seen:
            seen[source.model] = [
                _tokens(run, source, split, place).at(location.token_class)
                for split in ("validation", "test")
            ]
        sae, parts = load_sae(run, place, source.sae), seen[source.model]
        fit, test = (Labelled(latents_of(sae, part.values), part.connection) for part in parts)
        latents[readout] = SiteTokens(fit, test, n_connections)
    own = seen["trained"]
    fit, test = (Labelled(part.values.astype(np.float32), part.connection) for part in own)
    resid = SiteTokens(fit, test, n_connections)
    rows, ranked = trees.map_site(site, latents, resid, params, run.seed)
    found.features.extend(rows)
    found.latents.extend(ranked)
    fit, test, n = latents["latents"]
    positions = [part.position for part in own]
    found.positions.extend(early_and_late(site, (fit, test), positions, n))
    best = (
        tables.frame(rows, trees.FeatureRow)
        .groupby(["readout", "connection"])
        .balanced_accuracy.max()
    )
    for readout, accuracy in best.groupby("readout").mean().items():
        console.print(f"{site}: {readout}: best tree's balanced accuracy {accuracy:.3f}")
