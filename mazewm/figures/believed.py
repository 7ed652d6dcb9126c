"""Mazes as they are and as a model believes them to be, side by side (docs/science.md#map).

``draw_beliefs`` draws one maze on one axis, so that other figures can put mazes after an edit
beside these.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mazewm.claims.edits import Setting
from mazewm.figures.style import BLACK, GREEN, SMALL, VERMILION, WIDTH, Style, empty
from mazewm.inference.kinds import TRAINED
from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import touched_cells

N_MAZES = 4  # in the figure
SIZES = (8, 9, 10)  # connections of the mazes that are drawn
LINE = 5.0  # points
FAINT = "#E4E4E4"
N_EACH = 2  # pairs for each kind of edit
MARKS: dict[str, Style] = {
    "add": {"label": "to be added", "color": GREEN, "linewidth": 3.0, "linestyle": (0, (1, 0.6))},
    "remove": {
        "label": "to be removed",
        "color": VERMILION,
        "marker": "x",
        "markersize": 9,
        "markeredgewidth": 2.4,
        "linestyle": "none",
    },
}
OF_EDIT = ("method", "n_units", "place", "tokens")
DASHED, DOTTED = (0, (0.9, 0.5)), (0, (1.5, 1.5))


class Belief(NamedTuple):
    """What a model believes of some pairs of adjacent cells."""

    connection: Int[np.ndarray, " pair"]
    belief: Float[np.ndarray, " pair"]  # probability
    n_straight: Int[np.ndarray, " pair"]  # directions in which the step is the likeliest: 0 to 2

    @classmethod
    def of(cls, rows: pd.DataFrame) -> "Belief":
        """Rows of BeliefRow of one maze."""
        return cls(
            rows.connection.to_numpy(int),
            rows.belief.to_numpy(float),
            rows.n_straight.to_numpy(int),
        )

    @classmethod
    def true(cls, connections: Bool[np.ndarray, " connection"]) -> "Belief":
        """Full belief in the connections of a maze, and in nothing else."""
        there = np.flatnonzero(connections)
        return cls(there, np.ones(len(there)), np.full(len(there), 2))

    def is_wrong(self, connections: Bool[np.ndarray, " connection"]) -> Bool[np.ndarray, " pair"]:
        """Whether a connection is not believed, or a wall is crossed: in one direction at least."""
        least = np.where(connections[self.connection], 2, 1)
        return (self.n_straight >= least) != connections[self.connection]


def draw_beliefs(
    axis: Axes, grid: Lattice, connections: Bool[np.ndarray, " connection"], belief: Belief
) -> None:
    """One maze: a line for each pair of adjacent cells, the darker the more it is believed to be
    connected. Where what the model takes for connected differs from ``connections``, the line is in
    the accent colour, and as visible as any: dashed if the model steps across in one direction
    only, dotted if it does not step across a connection."""
    rows, cols = np.divmod(np.arange(grid.n_cells), grid.n)
    axis.scatter(cols, rows, s=5, color=FAINT, zorder=0)
    seen = touched_cells(grid, connections[None])[0]
    axis.scatter(cols[seen], rows[seen], s=16, color=BLACK, zorder=3)
    for e, share, n_straight, is_wrong in zip(*belief, belief.is_wrong(connections), strict=True):
        ends = grid.ends[e]
        look = _look(int(n_straight), bool(is_wrong))
        alpha = 1.0 if is_wrong else share
        axis.plot(cols[ends], rows[ends], alpha=alpha, zorder=2 if is_wrong else 1, **look)
    axis.set(xlim=(-0.4, grid.n - 0.6), ylim=(grid.n - 0.6, -0.4), aspect="equal")
    axis.axis("off")


def choose(mazes: Mazes, beliefs: pd.DataFrame) -> list[int]:
    """The maze ids that are drawn: the first ones of the split of which everything was asked and
    which have as many connections as ``SIZES`` says; the last of them is the first one about which
    the model is wrong, if there is any."""
    is_wrong = {
        int(maze): Belief.of(rows).is_wrong(mazes.connections[mazes.maze_id == maze][0]).any()
        for maze, rows in beliefs.groupby("maze_id")
    }
    fitting = [
        int(maze)
        for maze, n in zip(mazes.maze_id, mazes.n_connections, strict=True)
        if n in SIZES and maze in is_wrong
    ]
    wrong = [maze for maze in fitting[N_MAZES - 1 :] if is_wrong[maze]]
    return [*fitting[: N_MAZES - 1], *(wrong or fitting[N_MAZES - 1 :])[:1]]


def believed_mazes(mazes: Mazes, beliefs: pd.DataFrame) -> Figure:
    """Above, some test mazes; below, what the model believes. ``beliefs`` has rows of BeliefRow."""
    rows = beliefs[(beliefs.split == "test") & (beliefs.model == TRAINED)]
    chosen = choose(mazes, rows)
    if not chosen:
        return empty(f"no maze with {SIZES[0]} to {SIZES[-1]} connections was asked about")
    shape = (2, len(chosen))
    figure, axes = plt.subplots(*shape, figsize=(WIDTH, 5.1), layout="constrained", squeeze=False)
    for (above, below), maze in zip(axes.T, chosen, strict=True):
        connections = mazes.connections[mazes.maze_id == maze][0]
        belief = Belief.of(rows[rows.maze_id == maze])
        draw_beliefs(above, mazes.grid, connections, Belief.true(connections))
        draw_beliefs(below, mazes.grid, connections, belief)
        n_wrong = int(belief.is_wrong(connections).sum())
        said = f"{len(belief.connection) - n_wrong} of {len(belief.connection)} pairs right"
        below.set_title(said, color=VERMILION if n_wrong else BLACK, fontsize=9, y=-0.12)
    for axis, label in zip(axes[:, 0], ("the maze", "what the model believes"), strict=True):
        axis.text(-0.06, 0.5, label, rotation=90, ha="right", va="center", transform=axis.transAxes)
    figure.get_layout_engine().set(wspace=0.08)  # type: ignore[call-arg, union-attr]
    figure.legend(
        handles=legend_entries(), loc="outside lower center", ncols=4, frameon=False, fontsize=SMALL
    )
    rule = f"the first ones with {SIZES[0]} to {SIZES[-1]} connections"
    if n_wrong:
        rule += "; the last is the first after them that the model gets wrong"
    figure.suptitle(f"Held-out mazes, and the connections that the model's answers imply\n({rule})")
    return figure


def edited_mazes(pairs: pd.DataFrame, edited: pd.DataFrame, shown: Sequence[Setting]) -> Figure:
    """For each setting, the first test pairs of N_EACH mazes, each time others, with SIZES
    connections: the maze in the prompt, what the model believes, and what it believes with the
    edit. ``pairs`` and ``edited`` have rows of PairRow and EditedRow."""
    columns, mazes = list[tuple[Setting, Any]](), set[int]()
    for one in shown:
        mine = pairs[(pairs.split == "test") & (pairs.kind == one.kind)]
        for row in _first(mine[~mine.maze_id.isin(mazes)]):
            columns.append((one, row))
            mazes.add(row.maze_id)
    if not columns:
        return empty(f"no pair of mazes with {SIZES[0]} to {SIZES[-1]} connections")
    shape = (3, len(columns))
    figure, axes = plt.subplots(*shape, figsize=(WIDTH, 7.3), layout="constrained", squeeze=False)
    for axis, (setting, row) in zip(axes.T, columns, strict=True):
        before = np.asarray(row.connections, bool)
        grid = lattice(round((1 + (1 + 2 * len(before)) ** 0.5) / 2))
        after = before.copy()
        after[[*row.added, *row.removed]] ^= True
        mine = edited[(edited.kind == setting.kind) & (edited.pair == row.pair)]
        plain = _of_questions(grid, mine[mine.method == "none"])
        is_it = (mine[list(OF_EDIT)] == [getattr(setting, name) for name in OF_EDIT]).all(axis=1)
        there = Belief.true(before)
        for at, connections, belief in (
            (axis[0], before, there),
            (axis[1], before, plain),
            (axis[2], after, _of_questions(grid, mine[is_it])),
        ):
            draw_beliefs(at, grid, connections, belief)
        _mark(axis[0], grid, [*row.added], "add")
        _mark(axis[0], grid, [*row.removed], "remove")
        axis[0].set_title("a connection is added" if len(row.added) else "one is removed")
    labels = ("the maze in the prompt", "what the model believes", "... with the edit inside it")
    for at, label in zip(axes[:, 0], labels, strict=True):
        at.text(-0.06, 0.5, label, rotation=90, ha="right", va="center", transform=at.transAxes)
    figure.get_layout_engine().set(wspace=0.08)  # type: ignore[call-arg, union-attr]
    marks = [Line2D([], [], **look) for look in MARKS.values()]
    handles = [*legend_entries(), *marks]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=SMALL
    )
    said = "; ".join(f"{one.n_units} latents at {one.tokens} to {one.kind}" for one in shown)
    figure.suptitle(
        "One prompt, two worlds: what the model believes before and after an edit inside it"
        f"\n({said})"
    )
    return figure


def _first(pairs: pd.DataFrame) -> list[Any]:
    n = pairs.connections.map(sum)
    some = pairs[n.isin(SIZES)].sort_values("pair").drop_duplicates("maze_id")
    return list(some.head(N_EACH).itertuples())


def _of_questions(grid: Lattice, rows: pd.DataFrame) -> Belief:
    """The beliefs that the answers to all questions about one maze contain."""
    e = grid.connection_of[rows.origin, rows.target]
    known = rows.assign(connection=e)[e >= 0].groupby("connection")
    mean = known.agg(belief=("belief", "mean"), n_straight=("is_straight", "sum")).reset_index()
    return Belief.of(mean)


def _mark(axis: Axes, grid: Lattice, connections: list[int], how: str) -> None:
    """What is to be added: a line; what is to be removed: a cross."""
    look = {name: value for name, value in MARKS[how].items() if name != "label"}
    for e in connections:
        rows, cols = np.divmod(grid.ends[e], grid.n)
        at = (cols, rows) if how == "add" else ([cols.mean()], [rows.mean()])
        axis.plot(*at, zorder=4, **look)


def _look(n_straight: int, is_wrong: bool) -> Style:
    """The line of a pair across which the model steps in 0 to 2 directions."""
    if is_wrong and n_straight == 0:
        return {"color": VERMILION, "linewidth": 1.6, "linestyle": DOTTED}
    line = DASHED if n_straight == 1 else "-"
    caps = {"solid_capstyle": "round", "dash_capstyle": "butt"}
    return {"color": VERMILION if is_wrong else BLACK, "linewidth": LINE, "linestyle": line, **caps}


def legend_entries() -> list[Line2D]:
    """What lines of ``draw_beliefs`` mean."""
    looks = {
        "believed to be connected (paler: less)": _look(2, False),
        "wrong: crosses a wall": _look(2, True),
        "wrong: in one direction only": _look(1, True),
        "wrong: connection not believed": _look(0, True),
    }
    return [Line2D([], [], label=label, **look) for label, look in looks.items()]
