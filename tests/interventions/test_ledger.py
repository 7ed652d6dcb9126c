"""The ledger: every condition on every example once, predictions that are the drawings' own, and
rates that a toy decides.
"""

from collections import Counter
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from planted import INTERVENTIONS, N_CONNECTIONS, SITE, plain_sae, random_sae, trees
from toys import drawing_of, tiny, walk_alone

from mazewm.counterfactuals import examples
from mazewm.inference.resuming import ReadLists
from mazewm.interventions import ledger, prompts
from mazewm.interventions.conditions import PROMPTS, Condition
from mazewm.interventions.design import conditions_of
from mazewm.interventions.directions import Directions, LatentSets
from mazewm.interventions.ledger import ExampleRow, LedgerRow, n_steps, run_interventions
from mazewm.io import tables
from mazewm.io.streams import stream
from mazewm.localize.locations import PAPER_LOCATION
from mazewm.maze.tokens import PATH_END, Vocabulary, encode

VOCABULARY = Vocabulary(3)
MODEL = tiny("learned", d_vocab=len(VOCABULARY), n_ctx=VOCABULARY.max_length)
MODEL.W_U[:, : VOCABULARY.first_cell] = 0  # so that it walks from cell to cell
MODEL.W_U[:, PATH_END] = 3 * MODEL.W_U[:, -1]  # and not for ever
MAZES = trees(101)
MORE = examples.with_new_ends(MAZES, np.random.default_rng(1), 5)


def some_of(found):
    """Some of the examples: two batches of one size, and one or more of others."""
    return found[np.argsort(-found.mazes.n_connections, kind="stable")[np.r_[:6, -2:0]]]


RNG = np.random.default_rng
ASKED = [
    some_of(examples.additions(MAZES, RNG(0), 1)),
    some_of(examples.removals(MAZES, RNG(0), 1, 8)),
    some_of(examples.moves(MAZES, RNG(0), 1)),
    *(examples.several(MORE, RNG(0), k, 3, 8) for k in (1, 2)),
    *(examples.overload(MORE, RNG(0), k, 3, 7) for k in (0, 1, 2)),
]
BY_KIND = {
    kind: [some for some in ASKED if some.kind == kind]
    for kind in ("add", "remove", "move", "several", "overload")
}


def directions(site, is_main):
    rng = np.random.default_rng(0)
    sets = {
        n: LatentSets(
            (np.arange(12)[:, None] * 4 + np.arange(n)) % 53,
            np.full((12, n), 2.0),
            (np.arange(12)[:, None] * 4 + 9 + np.arange(2 * n)) % 53,
        )
        for n in INTERVENTIONS.set_sizes
    }
    arrows = rng.standard_normal((2, N_CONNECTIONS, 30))
    return Directions(site, is_main, random_sae(30, 53), sets, *arrows, rng.random(53))


SITES = [directions(SITE, True), directions(PAPER_LOCATION, False)]
SPLITS = ("validation", "test")


def filled(seed=0, splits=SPLITS, sites=SITES, asked=ASKED, model=MODEL):
    advanced = []
    book = run_interventions(
        model,
        [(s, some) for s in splits for some in asked],
        sites,
        INTERVENTIONS,
        seed,
        lambda: advanced.append(1),
    )
    return book, len(advanced)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    book, n = filled()
    folder = tmp_path_factory.mktemp("ledger")
    book.write(folder)
    return book, n, folder, tables.read(folder / "ledger.parquet", LedgerRow)


KEYS = ["split", "kind", "site", "method", "where", "n_latents", "dose"]


def numbered():
    """(kind, example number, its Examples, its row there)."""
    for kind, parts in BY_KIND.items():
        number = 0
        for some in parts:
            for nth in range(len(some)):
                yield kind, number, some, nth
                number += 1


def test_every_condition_meets_every_example_once(written):
    counts = Counter(written[3][[*KEYS, "example"]].itertuples(index=False, name=None))
    expected = {
        (split, kind, str(site.site), c.method, c.where, c.n_latents, c.dose, number)
        for kind, number, some, _ in numbered()
        for split in SPLITS
        for site in SITES
        for c in conditions_of(kind, some.n_changed, split, site.is_main, INTERVENTIONS)
    }
    assert set(counts) == expected and set(counts.values()) == {1}


def test_it_advances_as_often_as_it_said(written):
    assert written[1] == n_steps(
        [(split, some) for split in SPLITS for some in ASKED], SITES, INTERVENTIONS
    )
    assert written[1] == sum(1 for _ in written[0].lists["measured"])


def cells_of(path):
    return [divmod(int(cell), 3) for cell in path]


def test_predictions_are_the_shortest_paths_of_the_edited_mazes(written):
    by_example = dict(list(written[3][written[3].split == "test"].groupby(["kind", "example"])))
    for kind, number, some, nth in numbered():
        rows = by_example[kind, number]
        own = rows.method.isin(["repeated", "shifted"])
        for mazes, paths in (
            (some.mazes, [*rows.original, *rows.predicted[own]]),
            (some.edited, rows.predicted[~own]),
        ):
            [path] = drawing_of(
                3, mazes.connections[nth], mazes.origin[nth], mazes.target[nth]
            ).shortest_paths()
            assert all(cells_of(cells) == path for cells in paths)
        assert set(rows.maze_id) == {some.mazes.maze_id[nth]} and set(rows.n_changed) == {
            some.n_changed
        }
        assert all(list(e) == some.added[nth].tolist() for e in rows.added)
        assert all(list(e) == some.removed[nth].tolist() for e in rows.removed)


def test_how_many_connections_the_prompt_spells(written):
    frame = written[3]
    for kind, more in (("add", 1), ("remove", -1), ("move", 0)):
        mine = frame[
            (frame.kind == kind) & (frame.split == "test") & (frame.site == str(SITE))
        ].set_index("example")
        plain = mine[mine.method == "no_op"].n_spelled
        assert (
            mine[~mine.method.isin(PROMPTS)].n_spelled
            == plain.loc[mine[~mine.method.isin(PROMPTS)].index]
        ).all()
        assert (mine[mine.method == "tokens"].n_spelled == plain + more).all()
    over = frame[frame.kind == "overload"]
    assert set(
        zip(
            over.method,
            over.n_spelled - 7 - over.n_changed * over.method.isin(["tokens", "repeated"]),
            strict=True,
        )
    ) == {(method, 0) for method in set(over.method)}


def test_examples_are_written_as_they_are_spelled(written):
    kept = tables.read(written[2] / "examples.parquet", ExampleRow)
    assert len(kept) == 2 * sum(map(len, ASKED))
    kept = kept[kept.split == "test"].set_index(["kind", "example"])
    for kind, number, some, nth in numbered():
        row = kept.loc[kind, number]
        assert list(row.connections) == some.mazes.connections[nth].tolist()
        assert (row.maze_id, row.origin, row.target) == (
            some.mazes.maze_id[nth],
            some.mazes.origin[nth],
            some.mazes.target[nth],
        )


def test_flags_say_how_the_walk_compares(written):
    for row in written[3].itertuples():
        assert row.follows_edit == (list(row.measured) == list(row.predicted))
        assert row.keeps_original == (list(row.measured) == list(row.original))


def test_no_op_walks_as_without_an_edit(written):
    """Each example's unedited walk, with the spelling that the ledger gave it."""
    frame = written[3]
    no_op = frame[(frame.method == "no_op") & (frame.site == str(SITE))]
    for kind in ("add", "remove"):
        [some], mine, rng = (
            BY_KIND[kind],
            no_op[no_op.kind == kind].set_index("example").measured,
            stream("interventions: encoding", 0, 0),
        )
        for group in some.mazes.by_n_connections().values():
            for start in range(0, len(group), INTERVENTIONS.batch_size):
                index = group[start : start + INTERVENTIONS.batch_size]
                for example, prompt in zip(
                    index, encode(some.mazes[index], rng).prompt, strict=True
                ):
                    assert list(mine[example]) == [
                        cell for cell in walk_alone(MODEL, prompt) if cell != -1
                    ]


def test_an_edit_changes_walks(written):
    frame = written[3].set_index(["split", "kind", "site", "example"])
    walks = frame.assign(walk=frame.measured.map(tuple))
    plain = walks[walks.method == "no_op"].walk
    strong = walks[(walks.method == "latents") & (walks.dose == 4)].walk
    both = strong[strong.index.isin(plain.index)]
    assert (both != plain.loc[both.index].to_numpy()).mean() > 0.1


def test_parquet_holds_what_the_frame_holds(written):
    book, _, folder, frame = written
    kept = book.frame()
    assert len(book) == len(kept) == len(frame) > 0
    for name in kept.columns:
        assert (kept[name].to_numpy() == frame[name].to_numpy()).all(), name
    for name in ("measured", "added", "original"):
        rows = [row for part in book.lists[name] for row in part]
        assert all(
            [c for c in row if c != -1] == list(cells)
            for row, cells in zip(rows, frame[name], strict=True)
        )
    (folder / "again").mkdir(exist_ok=True)
    book.write(folder / "again")
    for name in ("ledger.parquet", "examples.parquet"):
        assert (folder / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_same_seed_gives_the_same_ledger():
    one, same, other = (filled(seed, ["validation"], SITES[1:], ASKED[:2])[0] for seed in (0, 0, 1))
    assert one.frame().equals(same.frame())
    walks = [np.concatenate(book.lists["measured"]) for book in (one, same, other)]
    assert np.array_equal(walks[0], walks[1]) and not np.array_equal(walks[0], walks[2])


D = 53  # of the toy's residual stream: the connections, then dimensions that mean nothing
TOY = Directions(
    SITE,
    True,
    plain_sae(D),
    {
        n: LatentSets(
            (np.arange(12)[:, None] + 12 * np.arange(n)),
            np.ones((12, n)),
            37 + np.arange(12)[:, None] + np.arange(2 * n) % 4,
        )
        for n in INTERVENTIONS.set_sizes
    },
    np.eye(12, D),
    np.eye(12, D),
    np.full(D, 0.1),
)


def walk_shortest(bits, origin, target):
    """The cells of a shortest path, or none, padded."""
    paths = drawing_of(3, bits, origin, target).shortest_paths()
    cells = [3 * r + c for r, c in paths[0]] if paths else [-2]
    return np.pad(cells, (0, 10 - len(cells)), constant_values=-1)


def spelled_bits(lists):
    bits = np.zeros((len(lists), 12), bool)
    for row, tokens in zip(bits, lists - VOCABULARY.first_cell, strict=True):
        for k in range((len(tokens) - 2) // 4):
            row |= [
                {int(a), int(b)} == {int(tokens[1 + 4 * k]), int(tokens[3 + 4 * k])}
                for a, b in MAZES.grid.ends
            ]
    return bits


class ToyRead(ReadLists):
    """Lists read by a model whose residual stream at c2 names the connection that is encoded."""

    def __init__(self, model, lists, layers):
        assert layers == {SITE.layer}
        tokens = torch.from_numpy(lists)
        vars(self).update(model=model, prefix=torch.zeros(*tokens.shape, D))  # it is frozen
        for at in range(1, tokens.shape[1] - 2, 4):
            alone = torch.cat([tokens[:, :1], tokens[:, at : at + 4], tokens[:, -1:]], dim=1)
            self.prefix[:, at + 2, :12] = torch.from_numpy(spelled_bits(alone.numpy())).float()

    def edited(self, edit):
        assert edit.place == SITE.place
        return edit.function(self.prefix)


def toy_rollouts(model, prefixes, asked):
    """It walks the shortest path of the connections that are named anywhere, from the origin to the
    target that are asked about."""
    ends = asked.asked[:, 0, [1, 4]] - VOCABULARY.first_cell
    named = [(prefix[:, :, :12] > 0.75).any(dim=1).numpy() for prefix in prefixes]
    return [
        np.stack([walk_shortest(*row) for row in zip(bits, *ends.T, strict=True)]).astype(np.int16)[
            :, None
        ]
        for bits in named
    ]


def toy_walk(model, mazes, lists):
    """And that of the connections that a list spells."""
    return np.stack(
        [
            walk_shortest(*row)
            for row in zip(spelled_bits(lists), mazes.origin, mazes.target, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def toy():
    """The toy's ledger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "ReadLists", SimpleNamespace(of=ToyRead))
        patch.setattr(ledger, "rollouts_behind", toy_rollouts)
        patch.setattr(prompts, "walk", toy_walk)
        return filled(splits=["test"], sites=[TOY])[0].frame()


@pytest.mark.parametrize("kind", BY_KIND)
def test_a_toy_whose_latents_are_the_connections_follows(toy, kind):
    """Every edit of the edited connections, at a dose of 1 or more, gives exactly the predicted
    path."""
    mine = toy[
        (toy.kind == kind)
        & toy.method.isin(
            [
                "latents",
                "latents_and_cells",
                "mean_difference",
                "probe_direction",
                "fixed_value",
                *PROMPTS,
            ]
        )
    ]
    assert mine.solved_before.all() and len(set(mine.method)) >= 4 and mine.follows_edit.all()
    changed = mine[(mine.n_changed > 0) & ~mine.method.isin(["repeated", "shifted"])]
    assert not changed.keeps_original.any()


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_controls_do_nothing_to_the_toy(toy, kind):
    """Where the edit is of others: no path is the predicted one. What says nothing of connections
    leaves the path as it is."""
    mine = toy[(toy.kind == kind) & (toy.n_changed > 0)]
    controls = mine[mine.method.isin(["no_op", "other_connection", "other_latents"])]
    assert len(controls) and not controls.follows_edit.any()
    assert mine[mine.method.isin(["no_op", "other_latents"])].keeps_original.all()


def test_only_the_chosen_positions_are_edited():
    resid = torch.randn(8, 41, 30, generator=torch.Generator().manual_seed(0))
    at = torch.randint(41, (8, 1), generator=torch.Generator().manual_seed(1))
    for method in ("mean_difference", "latents"):
        before = resid.clone()
        edit = ledger._edit(Condition(method, "borrowed", 3, 4.0), ASKED[0], SITES[0], at, RNG(0))
        changed = (edit.function(resid) != resid).any(dim=2)
        assert edit.place == SITES[0].site.place and torch.equal(resid, before)
        assert torch.equal(changed, torch.zeros_like(changed).scatter(1, at, True))


def test_methods_differ_in_nothing_but_what_they_add(monkeypatch):
    """At borrowed places every method edits the same positions of a maze."""
    seen = []

    def spy(condition, part, directions, at, rng):
        if condition.where == "borrowed":
            seen.append(
                (part.mazes.maze_id.tolist(), part.added.tolist(), at.tolist(), condition.method)
            )
        return real(condition, part, directions, at, rng)

    real = ledger._edit
    monkeypatch.setattr(ledger, "_edit", spy)
    filled(splits=["test"], sites=SITES[:1], asked=[ASKED[0], *BY_KIND["several"]])
    groups = pd.DataFrame(
        [(str(maze) + str(added), at, method) for maze, added, at, method in seen]
    ).groupby(0)
    assert len(groups) >= 4
    for _, group in groups:
        assert len(set(group[2])) >= 6 and all(one == other for one, other in pairwise(group[1]))
