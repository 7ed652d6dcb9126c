"""Find the consolidation site and the writing site of one run's transformer."""

from dataclasses import dataclass, replace
from pathlib import Path

from mazewm.counterfactuals.examples import additions
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.io.progress import progress
from mazewm.io.streams import stream
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
    write_everywhere,
    writing_site,
)
from mazewm.model.transformer import Transformer
from mazewm.run import Run


@dataclass(frozen=True)
class Located:
    """The two locations, and the measurements by which they were chosen."""

    locations: Locations
    formation: list[FormationRow]
    written: list[WritingRow]

    def write(self, folder: Path) -> None:
        """Write ``consolidation.parquet``, ``writing.parquet``, and the locations as JSON."""
        tables.write_rows(folder / "consolidation.parquet", FormationRow, self.formation)
        tables.write_rows(folder / "writing.parquet", WritingRow, self.written)
        self.locations.save(folder)


def locate(
    run: Run, model: Transformer, reading: ConsolidationParams, writing: WritingParams
) -> Located:
    """Find both locations on validation mazes. The mean differences that are added come from
    training mazes. BadInput if no connection could be added to any validation maze."""
    validation = run.mazes("validation")
    progress("looking for where connections are read", 1, share=0.25)
    read_on = Subject(model, validation[: reading.n_mazes], run.seed, reading.batch_size)
    formed = formation(read_on)
    read = consolidation_site(tables.frame(formed, FormationRow), reading.tolerance)
    asked = additions(validation, stream("writing: additions", run.seed), writing.n_per_connection)
    if len(asked) == 0:
        raise BadInput(
            f"{run.maze_file('validation')}: no maze to which a connection could be added; "
            "expected mazes of several sizes."
        )
    progress("looking for where connections are written", 1, share=0.25)
    learn_from = Subject(model, run.mazes("train")[: writing.n_mazes], run.seed, writing.batch_size)
    write_on = replace(learn_from, mazes=asked.mazes)
    written = write_everywhere(write_on, arrows_of(learn_from), asked, writing.doses)
    return Located(
        Locations(read, writing_site(tables.frame(written, WritingRow), writing.tolerance)),
        formed,
        written,
    )
