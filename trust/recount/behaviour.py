"""Answers to all questions, and what single latents detect: tables -> figures of W1a, W1c, C1."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from trust.recount.intervals import SHARE, interval, value_of
from trust.recount.mazes import Lattice, unique_paths
from trust.recount.tables import TWO, Check, Found, Same, Tables, cluster, counted, filled, sums

SOLVED = ("questions solved", "n_solved", "solved")
BLIND = ("blind walker", "blind", "solved_by_blind_walker")
SIGHTED = ("near-sighted walker", "near", "solved_by_near_sighted_walker")
FARTHER = tuple(
    (f"walker who looks {n} steps ahead", f"ahead_{n}", f"solved_by_ahead_{n}") for n in (2, 3)
)
RANDOM = tuple(
    (f"random walker who looks {n} ahead", name, f"solved_by_{name}")
    for n, name in ((1, "random"), (2, "random_2"))
)
SHOWN = {  # of each split who solves questions: in words, in the table, and in metrics/
    "test": ("held-out mazes", (SOLVED, BLIND, SIGHTED, *FARTHER, *RANDOM)),
    "overload": ("mazes of more connections", (SOLVED, SIGHTED)),
}
WALKERS = ("blind", "near", "ahead_2", "ahead_3", "random", "random_2")
ASKED = ("n_asked", "n_unique", *WALKERS) + tuple(
    name
    for some in ("telling", "beyond")
    for name in (f"n_{some}", *(f"{one}_{some}" for one in WALKERS))
)
RIVALS = ("frozen_decoder", "neurons", "untrained_model", "shuffled_labels")


def questions(tables: Tables) -> Iterator[Found]:
    """Shares of all questions that are solved, by the model and by the walkers
    (docs/science.md#all-questions); and the questions and walkers themselves."""
    solved = ("n_solved", "n_telling_solved", "n_beyond_solved")
    columns = " ".join(("model", "split", "maze_id", *ASKED, *solved))
    rows = tables.read("behaviour", "answers", columns)
    rows = rows[rows.model == "trained"]
    for split, (of, who) in SHOWN.items():
        mazes = tables.mazes(split)
        some = rows[rows.split == split]
        some = some.assign(cluster=some.maze_id.map(mazes.connections.map(cluster)))
        for words, column, name in who:
            at = ("metrics", "questions", split, "trained", name)
            yield counted(f"{of}: {words}", sums(some, (column, "n_unique")), at)
        yield _asked(some, mazes.connections, of)
        if split == "test":
            yield from _telling(some)
            yield _along(mazes)


def _telling(rows: pd.DataFrame) -> Iterator[Found]:
    """W1a and W1c: questions that tell, and those beyond two steps, with the best walkers."""
    own = sums(rows, ("n_telling_solved", "n_telling"))
    yield counted("telling questions solved (W1a)", own, ("claims", "W1a"))
    yield _best_walker(rows, "telling", ("blind", "near", "random"), "W1a")
    yield Same("telling questions", int(rows.n_telling.sum()), ("claims", "W1a", "n"))
    yield Same("clusters of them", len(filled(own)), ("claims", "W1a", "n_clusters"))
    far = sums(rows, ("n_beyond_solved", "n_beyond"))
    yield counted("questions beyond two steps solved (W1c)", far, ("claims", "W1c"))
    yield _best_walker(rows, "beyond", [name for name in WALKERS if name != "ahead_3"], "W1c")
    yield Same("questions beyond two steps", int(rows.n_beyond.sum()), ("claims", "W1c", "n"))


def _best_walker(rows: pd.DataFrame, some: str, walkers: Sequence[str], claim: str) -> Found:
    """What one walker solves of some questions: the control of a claim, that from which the
    difference has the lowest lower end."""
    n, own = f"n_{some}", rows[f"n_{some}_solved"]

    def lower_end(name: str) -> float:
        return _lower_end(sums(rows.assign(more=own - rows[name]), ("more", n)))

    best = min((f"{name}_{some}" for name in walkers), key=lower_end)
    at = ("claims", claim, "control")
    return counted(f"{some} questions, the best walker", sums(rows, (best, n)), at)


def _asked(rows: pd.DataFrame, connections: Mapping[int, Sequence[bool]], of: str) -> Check:
    """In how many mazes all questions, those with one path, those that tell, and what walkers
    solve of them are as counted here, from the connections alone."""
    table = rows.groupby("maze_id")[list(ASKED)].sum()
    right = [
        np.allclose(of_maze(connections[maze]), there, rtol=0, atol=1e-6)
        for maze, there in zip(table.index, table.to_numpy(float), strict=True)
    ]
    return Check(f"{of} whose questions and walkers are as worked out here", sum(right), len(right))


def of_maze(connections: Sequence[bool]) -> list[float]:
    """Of one maze: the questions; those with one path, and what the walkers solve of them; of
    those, the ones that tell, and what the walkers solve of these; and so of those beyond two
    steps."""
    lattice = Lattice.of(connections)
    near = lattice.near(connections)
    walks = [
        (
            lattice.blind(path),
            *(lattice.near_sighted(path, near, sight) for sight in (1, 2, 3)),
            *(lattice.at_random(path, near, sight) for sight in (1, 2)),
        )
        for path in unique_paths(near).values()
    ]
    made = [float(len(near) * (len(near) - 1))]
    for n in range(1, 4):  # all, and those that the first two and the first three walkers fail
        some = walks if n == 1 else [each for each in walks if max(each[:n]) < 0.5]
        made += [len(some), *(sum(each[nth] for each in some) for nth in range(len(WALKERS)))]
    return made


def _along(mazes: pd.DataFrame) -> Check:
    """In how many mazes each step of the path is along a connection: whether pairs are in the
    order that is assumed here."""
    right = 0
    for path, connections in zip(mazes.path, mazes.connections, strict=True):
        near = Lattice.of(connections).near(connections)
        right += all(b in near.get(a, ()) for a, b in zip(path, path[1:], strict=False))
    return Check("held-out mazes whose path is along their connections", right, len(mazes))


def singles(tables: Tables) -> Iterator[Found]:
    """C1: the MCC of the best single latents, and that of the strongest control, from which the
    difference has the lowest lower end; of the random decoders the best draw counts."""
    rows = tables.read("features", "singles", "readout draw connection mcc")
    by = rows.pivot_table(index="connection", columns=["readout", "draw"], values="mcc")
    own = by["latents"].mean(axis=1)
    rivals = {name: by[name][by[name].mean().idxmax()] for name in RIVALS if name in by}
    ends = {name: _lower_end(_of_each(own - rival)) for name, rival in rivals.items()}
    name = min(ends, key=lambda name: ends[name])
    at, control = ("claims", "C1"), f"strongest control of C1: {name.replace('_', ' ')}"
    yield counted("best single latents (C1)", _of_each(own), at, form=TWO)
    yield counted(control, _of_each(rivals[name]), (*at, "control"), form=TWO)


def _of_each(values: pd.Series) -> pd.DataFrame:
    """A value of every connection, as a count of one."""
    return pd.DataFrame({"value": values.dropna(), "n": 1.0})


def _lower_end(total: pd.DataFrame) -> float:
    """The lower end of a share or a mean of sums over clusters; without an interval, the value."""
    found = filled(total)
    ends = interval(found, SHARE)
    return ends[0] if ends else value_of(found, SHARE)
