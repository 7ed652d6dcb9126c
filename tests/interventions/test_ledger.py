"""The ledger: every condition on every example once, predictions that are the drawings' own, and rates that a stub decides."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from planted import N_CONNECTIONS, SITE, random_sae, trees
from toys import drawing_of, tiny

from mazewm import tables
from mazewm.consolidation import PAPER_SITE
from mazewm.interventions import ledger
from mazewm.interventions.conditions import Condition, Directions, LatentSets
from mazewm.interventions.ledger import InterventionParams, Ledger, LedgerRow, conditions_of, n_steps, run_interventions
from mazewm.maze import examples
from mazewm.model.rollout import rollout
from mazewm.tokens import Vocabulary, spell

VOCABULARY = Vocabulary(3)
MODEL = tiny("learned", d_vocab=len(VOCABULARY), n_ctx=VOCABULARY.max_length)
MODEL.W_U[:, : VOCABULARY.first_cell] = 0  # so that it walks from cell to cell
PARAMS = InterventionParams(
    n_per_connection=1, n_per_connection_validation=1, n_redrawn=1, set_sizes=[1, 3], doses=[1.0, 4.0], paper_site_doses=[2.0],
    batch_size=5, n_threads=1,
)  # fmt: skip
MAZES = trees(101)


def some_of(found):
    """Nine of the examples: two batches of one size, and one or more of others."""
    index = np.argsort(-found.mazes.n_connections, kind="stable")[np.r_[:6, -3:0]]
    return examples.Examples(found.kind, found.mazes[index], found.connection[index], found.edited[index])


ASKED = {
    "add": some_of(examples.additions(MAZES, np.random.default_rng(0), 1)),
    "remove": some_of(examples.removals(MAZES, np.random.default_rng(0), 1, 8)),
}


def directions(site, is_found):
    rng = np.random.default_rng(0)
    sets = {n: LatentSets((np.arange(12)[:, None] * 4 + np.arange(n)) % 53, np.full((12, n), 2.0)) for n in PARAMS.set_sizes}
    return Directions(site, is_found, random_sae(30, 53), sets, rng.standard_normal((N_CONNECTIONS, 30)), rng.random(53))


SITES = [directions(SITE, True), directions(PAPER_SITE, False)]
SPLITS = ("validation", "test")


def filled(seed=0, splits=SPLITS, sites=SITES):
    book, advanced = Ledger(), []
    for split in splits:
        for some in ASKED.values():
            run_interventions(MODEL, some, split, sites, PARAMS, seed, book, lambda: advanced.append(1))
    return book, len(advanced)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    book, n = filled()
    path = tmp_path_factory.mktemp("ledger") / "ledger.parquet"
    book.write(path)
    return book, n, path, tables.read(path, LedgerRow)


KEYS = ["split", "kind", "site", "method", "where", "n_latents", "dose"]


def test_every_condition_meets_every_example_once(written):
    frame = written[3]
    counts = Counter(frame[[*KEYS, "example"]].itertuples(index=False, name=None))
    expected = {
        (split, kind, str(site.site), c.method, c.where, c.n_latents, c.dose, example)
        for split in SPLITS
        for kind, some in ASKED.items()
        for site in SITES
        for c in conditions_of(kind, split, site.is_found, PARAMS)
        for example in range(len(some))
    }
    assert set(counts) == expected and set(counts.values()) == {1}


def test_it_advances_as_often_as_it_said(written):
    assert written[1] == sum(n_steps(some, split, SITES, PARAMS) for split in SPLITS for some in ASKED.values())


def cells_of(path):
    return [divmod(int(cell), 3) for cell in path]


@pytest.mark.parametrize("kind", ASKED)
def test_predictions_are_the_shortest_paths_of_the_edited_mazes(written, kind):
    frame, some = written[3], ASKED[kind]
    mine = frame[frame.kind == kind]
    for example, rows in mine.groupby("example"):
        for mazes, column in ((some.mazes, "original"), (some.edited, "predicted")):
            [path] = drawing_of(3, mazes.connections[example], mazes.origin[example], mazes.target[example]).shortest_paths()
            assert all(cells_of(cells) == path for cells in rows[column])
        assert set(rows.maze_id) == {some.mazes.maze_id[example]} and set(rows.connection) == {some.connection[example]}


def test_flags_say_how_the_walk_compares(written):
    for row in written[3].itertuples():
        assert row.follows_edit == (list(row.measured) == list(row.predicted))
        assert row.keeps_original == (list(row.measured) == list(row.original))


def test_no_op_walks_as_without_an_edit(written):
    """Each example's unedited walk, with the spelling that the ledger gave it."""
    frame = written[3]
    no_op = frame[(frame.method == "no_op") & (frame.site == str(SITE))]
    for kind, some in ASKED.items():
        mine, rng = no_op[no_op.kind == kind].set_index("example").measured, np.random.default_rng(0)
        for group in some.mazes.by_n_connections().values():
            for start in range(0, len(group), PARAMS.batch_size):
                index = group[start : start + PARAMS.batch_size]
                walked = rollout(MODEL, torch.from_numpy(spell(some.mazes[index], rng).prompt))
                for example, cells in zip(index, walked, strict=True):
                    assert list(mine[example]) == [cell for cell in cells if cell != -1]


def test_an_edit_changes_walks(written):
    frame = written[3].set_index(["split", "kind", "site", "example"])
    walks = frame.assign(walk=frame.measured.map(tuple))
    plain = walks[walks.method == "no_op"].walk
    strong = walks[(walks.method == "mean_difference") & (walks.dose == 4)].walk
    both = strong[strong.index.isin(plain.index)]
    assert (both != plain.loc[both.index].to_numpy()).mean() > 0.1


def test_parquet_holds_what_the_frame_holds(written):
    book, _, path, frame = written
    kept = book.frame()
    assert len(kept) == len(frame) > 0
    for name in kept.columns:
        assert (kept[name].to_numpy() == frame[name].to_numpy()).all(), name
    padded = np.concatenate([cells[2] for cells in book.cells])
    assert all([c for c in row if c != -1] == list(cells) for row, cells in zip(padded, frame.measured, strict=True))
    book.write(path.with_name("again"))
    assert path.with_name("again").read_bytes() == path.read_bytes()


def test_the_same_seed_gives_the_same_ledger():
    one, same, other = (filled(seed, ["validation"], SITES[1:])[0] for seed in (0, 0, 1))
    assert one.frame().equals(same.frame())
    walks = [np.concatenate([cells[2] for cells in book.cells]) for book in (one, same, other)]
    assert np.array_equal(walks[0], walks[1]) and not np.array_equal(walks[0], walks[2])


def test_what_is_chosen_from_and_what_stands_beside():
    found = conditions_of("add", "test", True, PARAMS)
    assert len(set(found)) == len(found)
    by_method = Counter(c.method for c in found)
    # 2 places, 2 doses, 2 sizes
    assert by_method == {"latents": 8, "mean_difference": 4, "tokens": 1, "no_op": 1, "fixed_value": 4} | dict.fromkeys(
        ("random_direction", "random_latents", "other_connection"), 4
    )
    assert {c.n_latents for c in found if c.method in ("random_latents", "other_connection")} == {3}
    chosen_from = conditions_of("add", "validation", True, PARAMS)
    assert {c.method for c in chosen_from} == {"latents", "mean_difference"}
    assert set(chosen_from) == {c for c in found if c.method in ("latents", "mean_difference")}
    removing = conditions_of("remove", "test", True, PARAMS)
    assert {c.where for c in removing} == {"own"}
    assert {c.method for c in removing} == {m for m in by_method if m not in ("other_connection", "fixed_value")} | {"other_latents"}
    paper = conditions_of("add", "test", False, PARAMS)
    assert {c.where for c in paper} == {"all"} and {c.dose for c in paper if c.method not in ("no_op", "tokens")} == {2.0}


def solver(edited_taps=lambda tap: False):
    """In place of a rollout: whoever reads the prompt and walks the shortest path, in other mazes' cells if the tap says so."""

    def walk(model, prompt, tap=None):
        if tap is not None:
            tap(SITE.place, torch.zeros(*prompt.shape, 30))
        cells = np.full((len(prompt), 10), -1, np.int16)
        for row, tokens in zip(cells, prompt.numpy() - VOCABULARY.first_cell, strict=True):
            n = (len(tokens) - 9) // 4
            bits = np.zeros(12, bool)
            for k in range(n):
                pair = {int(tokens[1 + 4 * k]), int(tokens[3 + 4 * k])}
                bits |= np.array([{int(a), int(b)} == pair for a, b in MAZES.grid.ends])
            [path] = drawing_of(3, bits, tokens[-6], tokens[-3]).shortest_paths()
            row[: len(path)] = [3 * r + c for r, c in path]
        return cells

    return walk


def test_a_solver_that_reads_tokens_only(monkeypatch):
    """It solves every maze, follows edited tokens, and keeps to its path whatever is done to its activations."""
    monkeypatch.setattr(ledger, "rollout", solver())
    book = Ledger()
    for some in ASKED.values():
        run_interventions(MODEL, some, "test", SITES[:1], PARAMS, 0, book, lambda: None)
    frame = book.frame()
    assert frame.solved_before.all()
    is_tokens = frame.method == "tokens"
    assert frame.follows_edit[is_tokens].all() and not frame.keeps_original[is_tokens].any()
    assert frame.keeps_original[~is_tokens].all() and not frame.follows_edit[~is_tokens].any()


@pytest.mark.parametrize("method", ["mean_difference", "latents"])
def test_only_the_chosen_positions_are_edited(method):
    some = ASKED["add"]
    value = torch.randn(len(some), 41, 30, generator=torch.Generator().manual_seed(0))
    at = torch.randint(41, (len(some), 1), generator=torch.Generator().manual_seed(1))
    before = value.clone()
    edited = ledger._edit(Condition(method, "borrowed", 3, 4.0), some, SITES[0], at, np.random.default_rng(0)).function(value)
    changed = (edited != value).any(dim=2)
    assert torch.equal(value, before)
    assert torch.equal(changed, torch.zeros_like(changed).scatter(1, at, True))


def test_methods_differ_in_nothing_but_what_they_add(monkeypatch):
    """At a borrowed place every method edits the same position of a maze."""
    seen = []

    def spy(condition, part, directions, at, rng):
        if condition.where == "borrowed":
            seen.append((tuple(part.mazes.maze_id.tolist()), tuple(part.connection.tolist()), at.ravel().tolist()))
        return real(condition, part, directions, at, rng)

    real = ledger._edit
    monkeypatch.setattr(ledger, "_edit", spy)
    run_interventions(MODEL, ASKED["add"], "test", SITES[:1], PARAMS, 0, Ledger(), lambda: None)
    groups = pd.DataFrame(seen, columns=["maze", "connection", "at"]).groupby(["maze", "connection"])["at"]
    assert len(groups) >= 2
    for _, positions in groups:
        assert len(positions) > 10 and all(at == positions.iloc[0] for at in positions)
