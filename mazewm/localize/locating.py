"""Find the consolidation site and the writing site of one run's transformer."""

from dataclasses import dataclass
from pathlib import Path

from mazewm.counterfactuals.pairs import trees_of, twins
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.io.progress import console, progress
from mazewm.io.streams import stream
from mazewm.localize.carrying import CarriedRow, Carrying
from mazewm.localize.consolidation import (
    ConsolidationParams,
    FormationRow,
    consolidation_site,
    formation,
)
from mazewm.localize.locations import Locations
from mazewm.localize.writing import (
    WritingParams,
    WritingRow,
    arrows_of,
    near_best,
    sources_of,
    write_everywhere,
)
from mazewm.model.interface import Model
from mazewm.run import Study


@dataclass(frozen=True)
class Located:
    """The two locations, and the measurements by which they were chosen."""

    locations: Locations
    formation: list[FormationRow]
    written: list[WritingRow]
    carried: list[CarriedRow]

    def write(self, folder: Path) -> None:
        """Write ``consolidation.parquet``, ``writing.parquet`` and ``carried.parquet``, and the
        locations as JSON."""
        tables.write_rows(folder / "consolidation.parquet", FormationRow, self.formation)
        tables.write_rows(folder / "writing.parquet", WritingRow, self.written)
        tables.write_rows(folder / "carried.parquet", CarriedRow, self.carried)
        self.locations.save(folder)


def locate(
    run: Study, model: Model, reading: ConsolidationParams, writing: WritingParams
) -> Located:
    """Find both locations on validation mazes, and measure on test mazes whether directions carry
    over from early to late tokens. The mean differences that are added come from training mazes.
    BadInput if no connection could be added to any validation maze."""
    validation, most = run.mazes("validation"), int(run.mazes("train").n_connections.max())
    progress("looking for where connections are read", 1, share=0.25)
    read_on = Subject(model, validation[: reading.n_mazes], run.seed, reading.batch_size)
    formed = formation(read_on)
    formed_table = tables.frame(formed, FormationRow)
    read = consolidation_site(formed_table, reading.tolerance)
    # twins have one connection more, and no more than a training maze
    pairs = twins(
        trees_of(validation, most - 1), stream("writing: twins", run.seed), writing.n_per_connection
    )
    if len(pairs) == 0:
        raise BadInput(
            f"{run.maze_file('validation')}: no tree to which a connection could be added; "
            "expected mazes of several sizes."
        )
    learn_from = Subject(model, run.mazes("train")[: writing.n_mazes], run.seed, writing.batch_size)
    known = arrows_of(learn_from, sources_of(formed_table, model.params.n_layers))
    written = write_everywhere(learn_from, known, pairs, writing.doses)
    near = near_best(tables.frame(written, WritingRow), writing.tolerance)
    console.print(f"connections can be written {'; '.join(map(str, near))}")
    few = trees_of(run.mazes("test"), most - 1)
    test = twins(few, stream("carried: twins", run.seed), writing.n_carried)
    carried = Carrying(learn_from, near[0]).measure(pairs, test, writing.doses)
    return Located(Locations(read, near[0]), formed, written, carried)
