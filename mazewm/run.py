"""Run: one transformer with all that is found in it, by name. It knows where things lie, and loads
mazes; ``mazewm.results`` reads its tables.

A run is a positional encoding, a training objective and a seed; its name is ``rotary-all-0``.
Everything is in ``artifacts/``: what all runs share in a folder of its own (``mazes``), what a
stage made of one run in ``STAGE'S FOLDER/NAME``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args

from mazewm.io.errors import BadInput
from mazewm.maze import mazes
from mazewm.maze.mazes import Mazes

Encoding = Literal["learned", "sinusoidal", "rotary", "alibi", "none"]
Objective = Literal["all", "path"]
Kind = Literal[
    "models",
    "observations",
    "activations",
    "saes",
    "features",
    "circuits",
    "interventions",
    "planning",
]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
ARTIFACTS = Path("artifacts")
R = TypeVar("R", bound="Run")


@dataclass(frozen=True)
class Run:
    """One transformer, and where all that belongs to it lies."""

    encoding: Encoding
    objective: Objective
    seed: int
    artifacts: Path = ARTIFACTS

    @classmethod
    def named(cls: type[R], name: str, artifacts: Path = ARTIFACTS) -> R:
        """``"rotary-all-0"`` -> Run("rotary", "all", 0); BadInput for another kind of name."""
        encoding, _, rest = name.partition("-")
        objective, _, seed = rest.partition("-")
        is_seed = seed.isdecimal() and str(int(seed)) == seed  # one name for one run: not 007
        if encoding not in ENCODINGS or objective not in OBJECTIVES or not is_seed:
            raise BadInput(
                f"run: expected ENCODING-OBJECTIVE-SEED with one of {list(ENCODINGS)}, one of "
                f"{list(OBJECTIVES)} and a whole number, found {name!r}."
            )
        return cls(encoding, objective, int(seed), artifacts)

    @property
    def name(self) -> str:
        return f"{self.encoding}-{self.objective}-{self.seed}"

    @property
    def recipe(self) -> str:
        """The name without the seed."""
        return f"{self.encoding}-{self.objective}"

    def folder(self, kind: Kind) -> Path:
        """Where a stage puts what it makes of this run."""
        return self.artifacts / kind / self.name

    @property
    def weights(self) -> Path:
        """The file of the trained transformer."""
        return self.folder("models") / "transformer.safetensors"

    def maze_file(self, split: str) -> Path:
        """Where a split of the mazes lies, which are the same for all runs."""
        return self.artifacts / "mazes" / f"{split}.parquet"

    def mazes(self, split: str) -> Mazes:
        """The mazes of ``train``, ``validation``, ``test`` or ``overload``."""
        return mazes.read(self.maze_file(split))
