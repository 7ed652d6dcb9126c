"""Whether one token after the list holds the whole maze (docs/science.md#whole-maze).

The tokens are those of the *frame*: ``<ADJLIST_END>`` and the question's, none of which is a token
of a connection. At each of them and every depth, a probe for each connection says whether its two
cells are connected, in mazes whose list mentions both: of other cells the answer is known. Depth 0
is the embedding, depth l the residual stream after l blocks.

The score is the explained variance over all connections and mazes, 1 - SSE / SST, with SST around
the connection's share among the mazes for fitting. Beside it stand an untrained model of the same
architecture, and two readers of how often the list mentions each cell, which is all that a sum over
its tokens, without binding, can give: ``mentions``, a linear probe, and ``mentions_boosted``,
gradient-boosted trees. In a small maze mentions say much: a cell mentioned once is a dead end, and
if one of its neighbours is mentioned, too, the two are connected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import ASKING, Asking
from mazewm.maze.truths import touched_cells
from mazewm.planning.facts import Fact
from mazewm.planning.fitting import Probe, fit, mean_differences, units
from mazewm.planning.probes import depths

LIST_END = "<ADJLIST_END>"
CELLS = (Asking.ORIGIN, Asking.TARGET)
NAMES = {
    token: token.name.lower() if token in CELLS else f"<{token.name}>" for token in Asking
}  # as they are written, but for the cells
FRAME = (LIST_END, *NAMES.values())
MENTIONS, BOOSTED, NOWHERE = "mentions", "mentions_boosted", "none"
N_TREES = 200  # of the boosted reader of a connection
MOST_MENTIONS = 4  # a cell has at most four neighbours

Resid = Float[np.ndarray, "token depth maze d_model"]


@dataclass(frozen=True)
class WholeRow:
    """How well one probe tells the connections of one maze."""

    split: tables.Text
    readout: tables.Text  # model, untrained_model, mentions or mentions_boosted
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


def mentions(mazes: Mazes) -> Int[np.ndarray, "maze cell"]:
    """How often the list mentions each cell.

    >>> from mazewm.maze.maze import Maze
    >>> corner = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], (0, 0), (1, 1))
    >>> mentions(Mazes.of([corner])).tolist()
    [[1, 2, 0, 1]]
    """
    times = np.zeros((len(mazes), mazes.grid.n_cells), int)
    for end in mazes.grid.ends.T:
        np.add.at(times.T, end, mazes.connections.T)
    return times


def _one_hot(times: Int[np.ndarray, "maze cell"]) -> Float[np.ndarray, "maze count"]:
    is_so_often = times[:, :, None] == np.arange(MOST_MENTIONS + 1)
    return is_so_often.reshape(len(times), -1).astype(np.float32)


def _boosted(
    times: Int[np.ndarray, "maze cell"], known: Fact, held_out: Mapping[str, np.ndarray]
) -> dict[str, Float[np.ndarray, "another connection"]]:
    """What gradient-boosted trees, fitted for each connection, predict from the mentions."""
    # imported here because it is slow, and most users of this module fit nothing
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    found = {split: np.zeros((len(x), known.value.shape[1])) for split, x in held_out.items()}
    with threadpool_limits(1):
        for unit in units(known):
            counts = known.counts[:, unit]
            trees = HistGradientBoostingRegressor(max_iter=N_TREES, random_state=0)
            trees.fit(times[counts], known.value[counts, unit])
            for split, x in held_out.items():
                found[split][:, unit] = trees.predict(x)
    return found


def read_frame(subject: Subject) -> Resid:
    """The residual stream at each token of the frame and every depth."""
    places = depths(subject.model)
    shape = (len(FRAME), len(places), len(subject.mazes), subject.model.params.d_model)
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
    """Fit all readers on the mazes of ``fit_on``, and score them on each of the held-out splits."""
    known, scores = connected(fit_on.mazes), _Scores(connected(fit_on.mazes), held_out)
    times = {split: mentions(mazes) for split, mazes in held_out.items()}
    probe = fit(_one_hot(own := mentions(fit_on.mazes)), known, penalties)
    scores.of_probe(probe, {split: _one_hot(x) for split, x in times.items()}, MENTIONS)
    scores.add(_boosted(own, known, times), BOOSTED)
    arrows = {}
    models = {"model": fit_on.model, "untrained_model": fit_on.model.untrained(fit_on.seed)}
    for readout, model in models.items():
        reader = replace(fit_on, model=model)
        seen = read_frame(reader)
        new = {split: read_frame(replace(reader, mazes=mazes)) for split, mazes in held_out.items()}
        for token, depth in product(range(seen.shape[0]), range(seen.shape[1])):
            x, name = seen[token, depth], FRAME[token]
            there = {split: values[token, depth] for split, values in new.items()}
            scores.of_probe(fit(x, known, penalties), there, readout, name, depth)
            if readout == "model":
                arrows[name, depth] = mean_differences(x, known)
    return Frame(pd.concat(scores.parts, ignore_index=True), arrows)


class _Scores:
    """The scores of every reader so far."""

    def __init__(self, known: Fact, held_out: Mapping[str, Mazes]) -> None:
        self.held_out, self.parts = held_out, list[pd.DataFrame]()
        self.asked = {split: connected(mazes) for split, mazes in held_out.items()}
        n = np.maximum(1, known.counts.sum(axis=0))
        self.share = known.value.sum(axis=0, where=known.counts) / n
        self.is_fitted = np.isin(np.arange(len(self.share)), units(known))

    def of_probe(
        self, probe: Probe, x: Mapping[str, np.ndarray], readout: str, token: str = NOWHERE,
        depth: int = 0,
    ) -> None:  # fmt: skip
        """Score a probe; ``x`` has what it reads, by split."""
        predicted = {split: each @ probe.weight.T + probe.bias for split, each in x.items()}
        self.add(predicted, readout, token, depth)

    def add(
        self, predicted: Mapping[str, np.ndarray], readout: str, token: str = NOWHERE,
        depth: int = 0,
    ) -> None:  # fmt: skip
        """Score predictions, by split."""
        for split, said in predicted.items():
            fact, mazes = self.asked[split], self.held_out[split]
            # of a connection that was not fitted, what is usual is said
            said = np.where(self.is_fitted, said, self.share)
            sums = {
                name: (((fact.value - each) ** 2) * fact.counts).sum(axis=1)
                for name, each in {"sse": said, "sst": self.share}.items()
            }
            columns = {"split": split, "readout": readout, "token": token, "depth": depth}
            columns |= {"maze_id": mazes.maze_id, "n": fact.counts.sum(axis=1)} | sums
            self.parts.append(pd.DataFrame(columns))
