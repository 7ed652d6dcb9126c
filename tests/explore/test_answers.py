"""What is computed, beside ``LoadedRun.solve``, the ledger's own edits, and passes without any
cache.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from explore.planted_explorer import DOSE, SIZES, cells_of, first, planted
from planted import SITE
from planted_edits import WRITING

from mazewm.counterfactuals.pairs import Pairs
from mazewm.counterfactuals.spelling import Lists
from mazewm.explore.answers import Explorer, wrong_steps
from mazewm.explore.inside import Meanings, look
from mazewm.explore.scene import METHODS, Scene
from mazewm.inference import edits
from mazewm.interventions.directions import directions_at
from mazewm.interventions.edits import Condition, Method, Writer
from mazewm.io.errors import BadInput
from mazewm.loaded import load
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Vocabulary, encode, encode_questions, encoding_rng
from mazewm.model.sites import Place, Site
from mazewm.results import table_file

CHANGES = [(1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]


def changed(maze, n_added, n_removed):
    """A scene with some connections added and removed."""
    some = [*first(~maze.bits, n_added), *first(maze.bits, n_removed)]
    return Scene(maze, changed=tuple(some))


@pytest.mark.parametrize("amount", CHANGES)
def test_paths_are_those_of_solve(run, explorer, amount):
    n_changed = 0
    for maze in list(run.mazes("test"))[:8]:
        scene = changed(maze, *amount)
        add, remove = ([cells_of(run, e) for e in some] for some in (scene.added, scene.removed))
        answer = explorer.answer(scene)
        assert answer.before.path == run.solve(maze).path
        assert answer.after.path == run.solve(maze, add=add, remove=remove).path
        n_changed += answer.after.path != answer.before.path
        assert explorer.answer(Scene(maze)).after == answer.before
    assert n_changed > 0


def test_in_the_prompt_it_is_the_path_of_the_edited_maze(run, explorer):
    n = 0
    for maze in list(run.mazes("test"))[:12]:
        scene = replace(changed(maze, 1, 0), method="tokens")
        answer = explorer.answer(scene)
        assert answer.doses == ()
        if scene.edited.has_one_path:
            n += 1
            assert answer.after.path == run.solve(scene.edited).path
    assert n > 3


@pytest.mark.parametrize("amount", [(1, 0), (0, 1), (1, 1), (2, 0)])
@pytest.mark.parametrize("method", METHODS[:-1])
def test_edits_are_those_of_the_ledger(run, explorer, method, amount):
    """Of directions that the ledger makes from the caches, written by its writer."""
    known = directions_at(run, SITE, run.grid.n_connections, max(SIZES))
    if method == METHODS[0]:  # the units of the planted table are made up
        known = run.known[str(SITE)]
    maze = run.mazes("test")[3]
    scene = replace(changed(maze, *amount), method=method, n_units=2 * (method == METHODS[0]))
    encoded = encode(Mazes.of([maze]), encoding_rng(run.seed))
    pairs = Pairs(
        "add", run.grid, np.array([0]), maze.bits[None], scene.added[None],
        scene.removed[None], np.array([-1]),
    )  # fmt: skip
    lists = Lists(encoded.lists, encoded.lists, encoded.order)
    conditions = []
    for n, where in ((amount[0], "site" if amount[0] == 1 else "dealt"), (amount[1], "own")):
        if n:
            conditions.append(Condition(Method(method, scene.n_units), WRITING, where, DOSE))
    expected = Writer(pairs, lists, {str(SITE): known}, run.seed).edit(conditions)
    resid = torch.randn(1, encoded.lists.shape[1], run.model.params.d_model)
    edit = explorer.edit(scene)
    assert edit.place == expected.place
    assert torch.equal(edit.function(resid), expected.function(resid))
    assert not torch.equal(edit.function(resid), resid)
    twice = explorer.edit(replace(scene, strength=2.0))
    assert not torch.equal(twice.function(resid), edit.function(resid))


def test_the_mean_difference_is_that_of_the_ledger(run):
    known = directions_at(run, SITE, run.grid.n_connections, 1)
    mine = run.known_arrows[str(SITE)].arrows["mean_difference"]
    assert np.array_equal(mine, known.arrows["mean_difference"]) and np.abs(mine).max() > 0


def test_steps_and_attention_are_those_of_a_plain_pass(run, explorer):
    """Over all tokens, without a cache, with the edit."""
    vocabulary = Vocabulary(run.grid.n)
    for maze in list(run.mazes("test"))[:5]:
        scene = changed(maze, 1, 1)
        answer = explorer.answer(scene)
        inside = look(explorer, answer)
        path = [maze.number(cell) + vocabulary.first_cell for cell in answer.after.path]
        asked = encode_questions(
            run.grid, *(np.array(maze.number(c)) for c in (maze.origin, maze.target))
        )
        read = encode(Mazes.of([maze]), encoding_rng(run.seed)).lists[0]
        tokens = torch.from_numpy(np.concatenate([read, asked, path]).astype(np.int64))[None]
        places = [Place(layer, Site.PATTERN) for layer in (0, 1)]
        logits, values = edits.run(run.model, tokens, [explorer.edit(scene)], [*places, SITE.place])
        share = logits[0, len(read) + len(asked) - 1 :].softmax(dim=-1)
        assert len(answer.after.steps) == len(path) + 1 == len(share)
        for step, row, following in zip(answer.after.steps, share, [*path, None], strict=True):
            best = int(row.argmax())
            assert following in (None, best)
            assert step.likeliest[0][0] == vocabulary.names[best]
            assert step.likeliest[0][1] == pytest.approx(float(row[best]), abs=1e-4)
            assert [p for _, p in step.likeliest] == sorted(
                [p for _, p in step.likeliest], reverse=True
            )
        assert [step.after for step in answer.after.steps[1:]] == [
            vocabulary.names[t] for t in path
        ]
        assert inside.tokens == tuple(vocabulary.names[t] for t in tokens[0].tolist())
        assert torch.allclose(inside.resid, values[SITE.place][0], atol=1e-5)
        for layer, place in enumerate(places):
            assert np.allclose(inside.attention[layer], values[place][0].numpy(), atol=1e-5)
        at = (inside.resid - inside.resid_before).abs().sum(dim=1) > 0
        assert at[: inside.n_list].any() and not at[inside.n_list :].any()
        assert not np.allclose(inside.attention[1], inside.attention_before[1])


def test_beliefs_are_asked_of_the_changed_model(run, explorer):
    """Each is the probability of the straight step in a plain pass, mean of both directions."""
    maze = run.mazes("test")[2]
    scene = changed(maze, 2, 0)
    found, edit = explorer.answer(scene).believed, explorer.edit(scene)
    read = encode(Mazes.of([maze]), encoding_rng(run.seed)).lists[0]
    first_cell = Vocabulary(run.grid.n).first_cell
    asked = set(found.connection.tolist())
    assert set(scene.added.tolist()) <= asked and set(first(maze.bits, 99)) <= asked
    for e, belief in zip(found.connection, found.belief, strict=True):
        shares = []
        for a, b in (run.grid.ends[e], run.grid.ends[e][::-1]):
            question = encode_questions(run.grid, np.array(a), np.array(b))
            tokens = np.concatenate([read, question, [a + first_cell]]).astype(np.int64)
            logits = edits.run(run.model, torch.from_numpy(tokens)[None], [edit]).logits
            shares.append(float(logits[0, -1].softmax(dim=-1)[b + first_cell]))
        assert belief == pytest.approx(np.mean(shares), abs=1e-4)


def test_latents_of_a_token_and_what_they_stand_for(run, explorer):
    scene = changed(run.mazes("test")[1], 1, 0)
    inside, meanings = look(explorer, explorer.answer(scene)), Meanings(explorer)
    at = int((inside.resid - inside.resid_before).abs().sum(dim=1).argmax())
    found = meanings.strongest(inside, at)
    z = run.sae.encode(inside.resid[at]).numpy()
    before = run.sae.encode(inside.resid_before[at]).numpy()
    assert len(found) == 8 and any(one.value != one.value_before for one in found)
    most = [max(one.value, one.value_before) for one in found]
    assert most == sorted(most, reverse=True) and most[0] == pytest.approx(
        max(z.max(), before.max())
    )
    for one in found:
        assert one.value == pytest.approx(z[one.latent]) and one.f1 == 0.8
        assert (one.kind, one.of) == ("cell", f"({one.latent % 3},0)")
        in_tree = one.latent < run.grid.n_connections
        assert one.trees == ((run.grid.name(one.latent),) if in_tree else ())


def test_questions_that_cannot_be_asked_are_refused(run, explorer):
    maze = run.mazes("test")[0]
    with pytest.raises(BadInput, match=r"^Start and target are both \(\d, \d\); choose two"):
        explorer.answer(Scene(replace(maze, target=maze.origin)))
    bits = np.zeros_like(maze.bits)
    bits[0] = True
    scene = changed(replace(maze, bits=bits), 3, 0)
    with pytest.raises(BadInput, match=r"^3 connections are added, but .* only 2 tokens"):
        explorer.answer(scene)
    one = Scene(replace(maze, bits=bits), changed=(0,), method="tokens")
    with pytest.raises(BadInput, match=r"no connection left\.$"):
        explorer.answer(one)


def test_a_maze_without_a_path_is_asked_about_all_the_same(run, explorer):
    maze = run.mazes("test")[0]
    bits = np.zeros_like(maze.bits)
    bits[0] = True
    answer = explorer.answer(Scene(replace(maze, bits=bits, origin=(0, 0), target=(2, 2))))
    assert len(answer.before.steps) == len(answer.before.path) + 1


@pytest.mark.parametrize(
    ("gone", "without"),
    [
        ("saes/{}/0.resid_post.safetensors", ["latents"]),
        ("activations/{}/trained/train/0.resid_post/activations.parquet", METHODS[1:3]),
        ("interventions/{}/ledger.parquet", METHODS[:3]),
    ],
)
def test_what_a_run_lacks_is_named_and_the_rest_works(tmp_path, gone, without):
    run = planted(tmp_path)
    file = tmp_path / gone.format(run.name)
    file.unlink()
    if "activations" in gone:
        file.parent.rmdir()
    explorer = Explorer(load(run.name, tmp_path))
    assert list(explorer.missing) == list(without)
    scene = changed(run.mazes("test")[0], 1, 0)
    for method in METHODS:
        if method in without:
            with pytest.raises(BadInput, match="0.resid_post|ledger.parquet"):
                explorer.answer(replace(scene, method=method))
        else:
            assert explorer.answer(replace(scene, method=method)).after.steps


def test_a_broken_table_is_named(tmp_path):
    run = planted(tmp_path)
    table_file(run, "taxonomy").write_bytes(b"no parquet")
    explorer = Explorer(run)
    inside = look(explorer, explorer.answer(Scene(run.mazes("test")[0])))
    with pytest.raises(BadInput, match=r"taxonomy.parquet: not a whole parquet file"):
        Meanings(explorer).strongest(inside, 3)


def test_steps_through_walls(run):
    maze = run.mazes("test")[0]
    assert not wrong_steps(maze, maze.path).any()
    absent = cells_of(run, first(~maze.bits, 1)[0])
    assert wrong_steps(maze, absent).tolist() == [True]
