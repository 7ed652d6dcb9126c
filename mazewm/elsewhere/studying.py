"""The study of a model that was trained elsewhere: where connections are read and written, sparse
autoencoders there, what their latents stand for, and what edits by them change.

The steps are those of a run (docs/experiments.md), and so are the tables, in the folders of a run:
``activations``, ``saes``, ``features`` and ``interventions``, beside ``behaviour`` with one
question about every test maze. Circuits are left out, since heads cannot be seen.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mazewm.elsewhere.adapter import Elsewhere
from mazewm.elsewhere.amounts import Settings
from mazewm.elsewhere.hooked import Hooked, is_hooked
from mazewm.elsewhere.placing import at_its_layer, placed
from mazewm.elsewhere.residual import ByHook
from mazewm.elsewhere.saes import Placed
from mazewm.elsewhere.summary import Summary, summarise
from mazewm.export.outputs import made_at
from mazewm.features.mapping import map_features
from mazewm.features.trees import detector
from mazewm.inference.behaviour import BehaviourRow, behaviour_rows
from mazewm.inference.subject import Subject
from mazewm.interventions.experiment import intervene
from mazewm.io import files, tables
from mazewm.io.errors import BadInput
from mazewm.localize.activations import cache_activations
from mazewm.localize.locating import Located, locate
from mazewm.localize.locations import Locations
from mazewm.maze import mazes as maze_files
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import prompt_length
from mazewm.model import devices
from mazewm.results import table
from mazewm.run import Study
from mazewm.sae.files import RANDOM_SAES, SAES
from mazewm.sae.study import train_all

NAME, SUMMARY = "study.json", "summary.txt"
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Entered(Study):
    """What was measured on a model that was trained elsewhere. ``artifacts`` is its folder."""

    called: str
    seed: int
    artifacts: Path

    @property
    def name(self) -> str:
        return self.called

    def table(self, name: str) -> pd.DataFrame:
        """One of ``mazewm.results.TABLES`` as a data frame. BadInput for a table that a study of
        such a model does not have."""
        return table(self, name)

    @property
    def locations(self) -> Locations:
        """Where connections are read and written."""
        # the table writing leaves out the last layer, where connections may be read
        n_layers = 1 + int(self.table("consolidation").layer.max())
        return Locations.load(self.folder("locations"), n_layers)

    @property
    def summary(self) -> Summary:
        """What was found, in a few lines."""
        return summarise(self, self.locations)


@dataclass(frozen=True)
class Options:
    """What may be given to ``study``."""

    name: str = "model"  # what the model is called; of its folders
    names: Sequence[str] | None = None  # the text of each token by id, if they are not mazewm's
    sae: Placed | None = None  # studied in place of the one that the sweep chooses
    seed: int = 0  # of all that is random

    def __post_init__(self) -> None:
        if not self.name or os.path.basename(self.name) != self.name or self.name.startswith("."):
            raise BadInput(f"name: expected one that a folder can have, found {self.name!r}.")


def opened(folder: Path | str) -> Entered:
    """The study in a folder that ``study`` wrote; BadInput if there is none."""
    file = Path(folder) / NAME
    content = files.read_json(file, "a study, as mazewm.elsewhere.study writes it")
    try:
        return Entered(str(content["name"]), int(content["seed"]), Path(folder))
    except (KeyError, TypeError, ValueError):
        raise BadInput(f"{file}: expected a name and a seed, found {content!r}.") from None


def study(
    model: Any,
    mazes: Mapping[str, Mazes] | Path | str,
    folder: Path | str,
    settings: Settings,
    options: Options | None = None,
) -> Entered:
    """Study a model, and write all tables to a new folder.

    ``model`` is a ``HookedTransformer``, or what ``mazewm.elsewhere.Foreign`` describes. ``mazes``
    are those of the splits ``train``, ``validation`` and ``test``, or a folder with a parquet file
    of each, as stage generate_mazes writes. BadInput for a folder that is there already, and for a
    model or mazes that do not fit."""
    options, sets = options or Options(), _sets(mazes)
    _check_sets(sets)
    one = entered(model, sets["train"].grid.n, options.names)
    _check_context(one, sets, settings)
    settings.activations.check(one)
    torch.set_num_threads(settings.activations.n_threads)
    with made_at(Path(folder)) as beside:
        found = Entered(options.name, options.seed, beside)
        for split, some in sets.items():
            found.maze_file(split).parent.mkdir(parents=True, exist_ok=True)
            maze_files.write(found.maze_file(split), some)
        _measure(found, one, settings, options.sae)
        files.write_text(beside / SUMMARY, f"{found.summary}\n")
        files.write_json(beside / NAME, {"name": options.name, "seed": options.seed})
    return replace(found, artifacts=Path(folder))


def entered(model: Any, n: int, names: Sequence[str] | None = None) -> Elsewhere:
    """A model as mazewm studies it, on mazes of an n x n lattice. BadInput if it does not fit."""
    blocks = Hooked(model) if is_hooked(model) else ByHook(model)
    if blocks.device.type != devices.best().type:
        raise BadInput(
            f"model: expected it on {devices.best()}, where mazewm works, found it on "
            f"{blocks.device}; move it, or set {devices.VARIABLE}={blocks.device.type}."
        )
    return Elsewhere(blocks, n, names).eval()


def _measure(found: Entered, model: Elsewhere, settings: Settings, sae: Placed | None) -> None:
    """All tables of a study, in its folder."""
    kinds = (
        "behaviour",
        "locations",
        "activations",
        SAES,
        RANDOM_SAES,
        "features",
        "interventions",
    )
    for kind in kinds:
        found.folder(kind).mkdir(parents=True)
    test = found.mazes("test")[: settings.activations.n_held_out_mazes]
    rows = behaviour_rows(Subject(model, test, found.seed, settings.activations.batch_size), "test")
    tables.write_rows(found.folder("behaviour") / "behaviour.parquet", BehaviourRow, rows)
    located: Located = locate(found, model, settings.consolidation, settings.writing)
    if sae is not None:
        located = at_its_layer(located, sae, model, settings.writing.tolerance)
    located.write(found.folder("locations"))
    cache_activations(
        found.folder("activations"), found, model, located.locations, settings.activations
    )
    n_connections, n_candidates = test.grid.n_connections, settings.features.n_candidates
    detector_of = partial(detector, n_connections=n_connections, n_candidates=n_candidates)
    folders = {name: found.folder(name) for name in (SAES, RANDOM_SAES)}
    saes = train_all(found, model, settings.sae, detector_of, folders)
    if sae is not None:
        saes = placed(saes, sae, found, model, settings.sae)
    saes.write(found.folder(SAES))
    map_features(found, settings.features).write(found.folder("features"))
    intervene(found, model, settings.interventions).write(found.folder("interventions"))


def _sets(mazes: Mapping[str, Mazes] | Path | str) -> dict[str, Mazes]:
    if isinstance(mazes, str | Path):
        return {split: maze_files.read(Path(mazes) / f"{split}.parquet") for split in SPLITS}
    return {split: mazes[split] for split in SPLITS if split in mazes}


def _check_sets(sets: Mapping[str, Mazes]) -> None:
    missing = [split for split in SPLITS if split not in sets or not len(sets[split])]
    if missing:
        raise BadInput(f"mazes: expected some of {list(SPLITS)}, found none of {missing[0]!r}.")
    sizes = {split: some.grid.n for split, some in sets.items()}
    if len(set(sizes.values())) > 1:
        raise BadInput(f"mazes: expected those of one lattice, found sizes {sizes}.")


def _check_context(model: Elsewhere, sets: Mapping[str, Mazes], settings: Settings) -> None:
    """BadInput unless the model can read the longest prompt of the study with the longest path."""
    grid, asked = sets["train"].grid, settings.interventions
    most = max(int(some.n_connections.max()) for some in sets.values())
    added = max([*asked.corridor_lengths, *asked.n_added])
    wanted = prompt_length(min(grid.n_connections, most + added)) + grid.n_cells + 1
    if model.blocks.n_ctx < wanted:
        raise BadInput(
            f"model: expected a context of at least {wanted} tokens, for prompts of {most} "
            f"connections to which {added} are added, found {model.blocks.n_ctx}; fewer are added "
            "by other interventions.corridor_lengths and interventions.n_added."
        )
