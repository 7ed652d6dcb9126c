"""Whether one token after the list holds the whole maze (docs/science.md#whole-maze).

The tokens are those of the *frame*: ``<ADJLIST_END>`` and the question's, none of which is a token
of a connection. At each of them and every depth, a probe for each connection says whether its two
cells are connected, in mazes whose list mentions both: of other cells the answer is known. Depth 0
is the embedding, depth l the residual stream after l blocks.

The score is the explained variance over all connections and mazes, 1 - SSE / SST, with SST around
the connection's share among the mazes for fitting. Beside it stand an untrained model of the same
architecture, and ``mentions``: a probe of how often the list mentions each cell, which is all that
a sum over its tokens, without binding, can give. In a small maze this says much: a cell mentioned
once is a dead end, and has one connection only.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import ASKING, Asking
from mazewm.maze.truths import touched_cells
from mazewm.model.sites import Place, Site
from mazewm.planning.facts import Fact
from mazewm.planning.fitting import Probe, fit, mean_differences

LIST_END = "<ADJLIST_END>"
CELLS = (Asking.ORIGIN, Asking.TARGET)
NAMES = {
    token: token.name.lower() if token in CELLS else f"<{token.name}>" for token in Asking
}  # as they are written, but for the cells
FRAME = (LIST_END, *NAMES.values())
MENTIONS, NOWHERE = "mentions", "none"
MOST_MENTIONS = 4  # a cell has at most four neighbours

Resid = Float[np.ndarray, "token depth maze d_model"]


@dataclass(frozen=True)
class WholeRow:
    """How well one probe tells the connections of one maze."""

    split: tables.Text
    readout: tables.Text  # model, untrained_model or mentions
    token: tables.Text  # one of FRAME; none for mentions
    depth: tables.Int  # blocks passed; 0 is the embedding, and stands for mentions, too
    maze_id: tables.Int
    n: tables.Int  # pairs of adjacent cells that the list mentions
    sse: tables.Real  # sum of squared errors over them
    sst: tables.Real  # the same of each connection's share among the mazes for fitting


def connected(mazes: Mazes) -> Fact:
    """Whether two adjacent cells are connected, among those that the list mentions.

    >>> from mazewm.maze.maze import Maze
    >>> corner = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], (0, 0), (1, 1))
    >>> fact = connected(Mazes.of([corner]))
    >>> int(fact.counts.sum()), int(fact.value.sum())
    (2, 2)
    """
    there, ends = touched_cells(mazes.grid, mazes.connections), mazes.grid.ends
    both = there[:, ends[:, 0]] & there[:, ends[:, 1]]
    return Fact("connected", mazes.connections.astype(float), both)


def mentions(mazes: Mazes) -> Float[np.ndarray, "maze count"]:
    """How often the list mentions each cell, one-hot.

    >>> from mazewm.maze.maze import Maze
    >>> corner = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], (0, 0), (1, 1))
    >>> mentions(Mazes.of([corner])).reshape(4, 5).argmax(axis=1).tolist()
    [1, 2, 0, 1]
    """
    times = np.zeros((len(mazes), mazes.grid.n_cells), int)
    for end in mazes.grid.ends.T:
        np.add.at(times.T, end, mazes.connections.T)
    one_hot = times[:, :, None] == np.arange(MOST_MENTIONS + 1)
    return one_hot.reshape(len(mazes), -1).astype(np.float32)


def read_frame(subject: Subject) -> Resid:
    """The residual stream at each token of the frame and every depth."""
    params = subject.model.params
    places = [
        Place(0, Site.RESID_PRE),
        *(Place(layer, Site.RESID_POST) for layer in range(params.n_layers)),
    ]
    shape = (len(FRAME), len(places), len(subject.mazes), params.d_model)
    resid = np.empty(shape, np.float32)
    for recorded in subject.record(places):
        for depth, place in enumerate(places):
            at_frame = recorded.values[place][:, -(ASKING + 1) :].transpose(0, 1)
            resid[:, depth, recorded.mazes] = at_frame.cpu().numpy()
    return resid


@dataclass(frozen=True)
class Frame:
    """What was found: scores as rows of WholeRow, and for each token and depth the mean difference
    between mazes with and without each connection, where both cells are mentioned."""

    rows: pd.DataFrame
    arrows: Mapping[tuple[str, int], Float[np.ndarray, "connection d_model"]]


def read_whole(fit_on: Subject, held_out: Mapping[str, Mazes], penalties: list[float]) -> Frame:
    """Fit all probes on the mazes of ``fit_on``, and score them on each of the held-out splits."""
    known, parts = connected(fit_on.mazes), list[pd.DataFrame]()
    asked = {split: connected(mazes) for split, mazes in held_out.items()}
    share = known.value.sum(axis=0, where=known.counts) / np.maximum(1, known.counts.sum(axis=0))

    def score(x: Mapping[str, np.ndarray], probe: Probe, at: Mapping[str, Any]) -> None:
        for split, values in x.items():
            fact, predicted = asked[split], values @ probe.weight.T + probe.bias
            # of a connection that was not fitted, the probe says what is usual
            predicted = np.where(probe.is_fitted, predicted, share)
            error, spread = ((fact.value - each) ** 2 for each in (predicted, share))
            sums = {"sse": error, "sst": spread}
            columns = {name: (of * fact.counts).sum(axis=1) for name, of in sums.items()}
            columns |= {"n": fact.counts.sum(axis=1), "maze_id": held_out[split].maze_id}
            parts.append(pd.DataFrame(columns).assign(split=split, **at))

    at = {"readout": MENTIONS, "token": NOWHERE, "depth": 0}
    probe = fit(mentions(fit_on.mazes), known, penalties)
    score({split: mentions(mazes) for split, mazes in held_out.items()}, probe, at)
    arrows = {}
    models = {"model": fit_on.model, "untrained_model": fit_on.model.untrained(fit_on.seed)}
    for readout, model in models.items():
        own = replace(fit_on, model=model)
        seen = read_frame(own)
        new = {split: read_frame(replace(own, mazes=mazes)) for split, mazes in held_out.items()}
        for token, depth in _places(seen):
            at = {"readout": readout, "token": FRAME[token], "depth": depth}
            x = seen[token, depth]
            score({split: values[token, depth] for split, values in new.items()},
                  fit(x, known, penalties), at)  # fmt: skip
            if readout == "model":
                arrows[FRAME[token], depth] = mean_differences(x, known)
    return Frame(pd.concat(parts, ignore_index=True), arrows)


def _places(resid: Resid) -> Iterator[tuple[int, int]]:
    """Every token and depth. The embedding is that of a marker, or of a cell of the question."""
    return ((token, depth) for token in range(resid.shape[0]) for depth in range(resid.shape[1]))


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """Write rows of WholeRow to a parquet file."""
    names = tables.schema_of(WholeRow).names
    tables.write(path, WholeRow, {name: rows[name].to_numpy() for name in names})
