"""Runs: one transformer with everything measured on it, identified by a name. A run knows where its
files are, and reads its mazes; ``mazewm.results`` reads its tables.

A run is a positional encoding, a training objective and a seed, in its name such as
``rotary-all-0`` (docs/science.md#run). All files are in ``artifacts/``: the mazes, which all runs
of one seed share, in ``artifacts/mazes/SEED/``; the results of one run in ``artifacts/KIND/NAME/``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from mazewm.io.errors import BadInput, told
from mazewm.maze import mazes
from mazewm.maze.mazes import Mazes

Encoding = Literal["learned", "sinusoidal", "rotary", "alibi", "none"]
Objective = Literal["all", "path"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
ARTIFACTS = Path("artifacts")
MAZES = "mazes"  # the folder in it, with one folder for each seed
R = TypeVar("R", bound="Run")


class Study:
    """What was measured on one model, and where all files that belong to it are."""

    seed: int
    artifacts: Path

    @property
    def name(self) -> str:
        """What the model is called; the name of its folders."""
        raise NotImplementedError

    def folder(self, kind: str) -> Path:
        """The folder of one kind of the model's results."""
        return self.artifacts / kind / self.name

    def shared(self, kind: str) -> Path:
        """The folder of one kind of results that all models of this seed share."""
        return self.artifacts / kind / str(self.seed)

    def maze_file(self, split: str) -> Path:
        """The file of a split of the mazes."""
        return self.shared(MAZES) / f"{split}.parquet"

    def mazes(self, split: str) -> Mazes:
        """The mazes of ``train``, ``validation``, ``test`` or ``overload``; BadInput if the file is
        missing or broken."""
        return mazes.read(self.maze_file(split))


@dataclass(frozen=True)
class Run(Study):
    """One transformer, and where all files that belong to it are. ``mazes`` reads files;
    ``mazewm.load`` gives a run with the model itself."""

    encoding: Encoding
    objective: Objective
    seed: int
    artifacts: Path = ARTIFACTS

    @classmethod
    def named(cls: type[R], name: str, artifacts: Path = ARTIFACTS) -> R:
        """The run of a name ENCODING-OBJECTIVE-SEED; BadInput for any other name.

        >>> run = Run.named("rotary-all-0")
        >>> run.encoding, run.objective, run.seed
        ('rotary', 'all', 0)
        >>> run.weights.as_posix()
        'artifacts/models/rotary-all-0/transformer.safetensors'
        """
        encoding, _, rest = name.partition("-")
        objective, _, seed = rest.partition("-")
        # one name for one run: not 007; and a number that every generator takes
        is_seed = seed.isdecimal() and len(seed) < 10 and str(int(seed)) == seed
        if encoding not in ENCODINGS or objective not in OBJECTIVES or not is_seed:
            raise BadInput(
                f"run: expected ENCODING-OBJECTIVE-SEED with one of {list(ENCODINGS)}, one of "
                f"{list(OBJECTIVES)} and a number below 10^9, found {told(name)}."
            )
        return cls(encoding, objective, int(seed), artifacts)

    @property
    def name(self) -> str:
        """ENCODING-OBJECTIVE-SEED, such as ``rotary-all-0``."""
        return f"{self.encoding}-{self.objective}-{self.seed}"

    @property
    def recipe(self) -> str:
        """The name without the seed."""
        return f"{self.encoding}-{self.objective}"

    @property
    def weights(self) -> Path:
        """The file of the trained transformer."""
        return self.folder("models") / "transformer.safetensors"
