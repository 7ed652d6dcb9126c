"""The curves of trainings while they run, for ``dvc plots`` and editors that show its plots.

``artifacts/live.csv`` is no out: it is rewritten after every measurement, from a file for each
training in ``artifacts/live/``. Both are in the main folder also if DVC runs an experiment in a
folder of its own (``dvc exp run --temp``, ``--queue``).
"""

import csv
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mazewm.io import files
from mazewm.model.training import HistoryRow
from mazewm.run import ARTIFACTS

CURVES, PARTS = ARTIFACTS / "live.csv", ARTIFACTS / "live"


@dataclass(frozen=True)
class LiveCurve:
    """The curve of one training: what ``history.csv`` will hold, as far as it is known, with the
    name of the run and, in a folder of its own, of the experiment."""

    name: str
    root: Path  # the main folder of the repository
    is_apart: bool  # the training runs in another folder

    @classmethod
    def of(cls, run: str) -> "LiveCurve":
        """That of a run in the present folder."""
        root = Path(os.environ.get("DVC_ROOT", "."))
        if root.resolve() == Path.cwd():
            return cls(run, root, False)
        return cls(f"{os.environ.get('DVC_EXP_NAME', Path.cwd().name)} {run}", root, True)

    def write(self, history: Sequence[HistoryRow]) -> None:
        """Replace what is known of this training by all its measurements, so that a training that
        goes on or begins again has no point twice."""
        text = io.StringIO()
        columns = csv.DictWriter(text, _columns(), lineterminator="\n")
        columns.writerows(asdict(row) | {"run": self.name} for row in history)
        files.write_text(self._part, text.getvalue())
        self._join()

    def end(self) -> None:
        """The training is complete. Of one in a folder of its own, DVC now knows the results, so
        its curve goes."""
        if self.is_apart:
            self._part.unlink(missing_ok=True)
            self._join()

    @property
    def _part(self) -> Path:
        return self.root / PARTS / f"{self.name}.csv"

    def _join(self) -> None:
        """Trainings beside each other may do this at the same time; whichever measures next adds
        what the other has left out."""
        text = ",".join(_columns()) + "\n"
        for path in sorted((self.root / PARTS).glob("*.csv")):
            with suppress(FileNotFoundError):  # its training has just ended
                text += path.read_text()
        files.write_text(self.root / CURVES, text)


def _columns() -> list[str]:
    return [*(field.name for field in fields(HistoryRow)), "run"]
