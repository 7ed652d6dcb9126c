"""Training: batches, optimisers, resumption, and that it learns."""

import math

import numpy as np
import pytest
import torch
from toys import HOOK, batch

from mazewm.errors import BadInput
from mazewm.maze import datasets
from mazewm.maze.lattice import lattice
from mazewm.model.training import Batches, TrainingParams, losses, observation_steps, optimizers, rate, train
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.tokens import PADDING, Vocabulary, prompt_length, spell

N = 3
VOCABULARY = Vocabulary(N)
PARAMS = TrainingParams(
    n_steps=7,
    batch_size=5,
    loss_on="all",
    other_weight=0.3,
    muon_lr=0.01,
    adamw_lr=0.01,
    weight_decay=0.01,
    warmup_steps=2,
    checkpoint_every=3,
    n_observations=3,
    n_observed_mazes=5,
    n_threads=1,
)


def new_model(seed=0, encoding="rotary"):
    torch.manual_seed(seed)
    architecture = TransformerParams(n_layers=2, d_model=30, n_heads=3, d_mlp=37)
    model = Transformer(architecture, encoding, len(VOCABULARY), VOCABULARY.max_length)
    model.silence()
    return model


@pytest.fixture(scope="module")
def mazes():
    family = datasets.FamilyParams(generator="dfs", size=N, min_cells=7, max_cells=8, share=1.0)
    return datasets.draw(np.random.default_rng(0), lattice(N), "sparse", family, 61)


def observe(model, row):
    return {"step": row.step, "loss_path": row.loss_path, "norm": float(model.W_U.detach().norm())}


def run_to(model, mazes, checkpoint, params=PARAMS, fingerprint="a", stop=None, seed=0):
    """Train, up to a step if one is given; the steps that were done and the observations."""
    steps, seen = [], []
    running = train(model, mazes, params, seed, checkpoint, fingerprint, observe)
    for progress, observations in running:
        steps.append(progress.step)
        seen = list(observations)
        if progress.step == stop:
            running.close()
    return steps, seen


def assert_same_bits(a, b):
    for (name, left), (_, right) in zip(a.state_dict().items(), b.state_dict().items(), strict=True):
        assert torch.equal(left, right), name


@pytest.mark.parametrize(("n_steps", "n", "expected"), [(3600, 3, [400, 1600, 3600]), (7, 3, [1, 3, 7]), (4, 8, [1, 2, 3, 4]), (5, 1, [5])])
def test_looks_come_most_often_at_first_and_end_with_the_last_step(n_steps, n, expected):
    assert observation_steps(PARAMS.model_copy(update={"n_steps": n_steps, "n_observations": n})) == expected


def same_bits(a, b):
    return all(torch.equal(left, right) for left, right in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_a_batch_is_a_function_of_the_seed_and_its_number(mazes):
    one, other = Batches(mazes, 5, 0), Batches(mazes, 5, 0)
    numbers = [0, 1, 2, 29, 3, 1, 0]
    in_this_order = {i: one[i].tokens for i in numbers}
    for i in sorted(numbers, reverse=True):
        assert np.array_equal(other[i].tokens, in_this_order[i])
    different = Batches(mazes, 5, 1)[0].tokens
    assert different.shape != in_this_order[0].shape or not np.array_equal(different, in_this_order[0])


def test_a_batch_holds_mazes_with_equally_many_connections(mazes):
    batches, seen = Batches(mazes, 5, 0), set()
    for i in range(batches.per_epoch):
        spelled = batches[i]
        assert spelled.order.shape == (5, spelled.n_connections)
        assert ((spelled.tokens == 10).sum(axis=1) == spelled.n_connections).all()
        seen.add(spelled.n_connections)
    assert seen == {6, 7}


def connection_sets(spelled):
    return [frozenset(row) for row in spelled.order.tolist()]


def test_an_epoch_uses_no_maze_twice_and_epochs_differ():
    every = batch(HOOK)[np.zeros(11, int)]
    # Mazes that differ in one closed connection stand for 11 different mazes.
    family = datasets.FamilyParams(generator="wilson", size=N, share=1.0)
    drawn = datasets.draw(np.random.default_rng(1), lattice(N), "trees", family, 211)
    _, first = np.unique(drawn.connections, axis=0, return_index=True)
    distinct = drawn[first[:23]]
    assert len(distinct) == 23
    batches = Batches(distinct, 5, 0)
    assert batches.per_epoch == 4
    epochs = [[s for i in range(4) for s in connection_sets(batches[4 * epoch + i])] for epoch in range(2)]
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert epochs[0] != epochs[1]
    same = Batches(every, 11, 0)
    assert same.per_epoch == 1
    assert not np.array_equal(same[0].order, same[1].order)  # each epoch spells anew


def test_a_batch_size_that_no_group_has_is_refused(mazes):
    with pytest.raises(BadInput, match="batch_size.*found 62"):
        Batches(mazes, 62, 0)


def test_the_loss_of_a_new_model_is_near_that_of_guessing(mazes):
    """Logits have unit variance, which costs half a nat more than the logarithm of the vocabulary."""
    group = max(mazes.by_n_connections().values(), key=len)
    for encoding in ("learned", "none"):
        path, other = losses(new_model(encoding=encoding), spell(mazes[group], np.random.default_rng(0)))
        for loss in (path, other):
            assert abs(loss.item() - math.log(len(VOCABULARY)) - 0.5) < 0.5


def test_the_loss_is_split_between_the_path_and_what_comes_before(mazes):
    """A model that gives probability one to the right token of one part has no loss there."""

    class Knowing(Transformer):
        def __init__(self, spelled, knows_path):
            super().__init__(TransformerParams(n_layers=1, d_model=2, n_heads=1, d_mlp=1), "none", len(VOCABULARY), 97)
            self.next, self.first = torch.from_numpy(spelled.tokens)[:, 1:], prompt_length(spelled.n_connections) - 1
            self.knows_path = knows_path

        def forward(self, tokens, tap=None, past=None):
            # What follows the path is padding; the model is wrong there, and that must not count.
            said = torch.where(self.next == PADDING, 1, self.next)
            logits = 100.0 * torch.nn.functional.one_hot(said, self.d_vocab)
            unknown = torch.arange(logits.shape[1]) < self.first
            logits[:, unknown if self.knows_path else ~unknown] = 0.0
            return logits

    spelled = spell(mazes[mazes.by_n_connections()[7]], np.random.default_rng(0))
    assert (spelled.tokens == PADDING).any()
    guess = math.log(len(VOCABULARY))
    assert [loss.item() for loss in losses(Knowing(spelled, True), spelled)] == pytest.approx([0.0, guess], abs=1e-5)
    assert [loss.item() for loss in losses(Knowing(spelled, False), spelled)] == pytest.approx([guess, 0.0], abs=1e-5)


def test_it_overfits_a_few_mazes(mazes, tmp_path):
    few = mazes[mazes.by_n_connections()[7][:7]]
    params = PARAMS.model_copy(update={"n_steps": 90, "batch_size": 7, "warmup_steps": 5, "loss_on": "path"})
    _, seen = run_to(new_model(), few, tmp_path / "c.pt", params)
    assert [row["step"] for row in seen] == [10, 40, 90]
    assert seen[-1]["loss_path"] < 0.3 * math.log(len(VOCABULARY))


def test_the_same_seed_gives_the_same_bits_and_another_does_not(mazes, tmp_path):
    models = [new_model() for _ in range(3)]
    seen = [run_to(model, mazes, tmp_path / f"{i}.pt", seed=i // 2)[1] for i, model in enumerate(models)]
    assert_same_bits(models[0], models[1])
    assert seen[0] == seen[1] != seen[2]
    assert not same_bits(models[0], models[2])
    assert not same_bits(models[0], new_model())


@pytest.mark.parametrize("stop", [3, 5, 6])
def test_a_run_that_was_killed_ends_with_the_same_bits(mazes, tmp_path, stop):
    whole, killed, resumed = new_model(), new_model(), new_model(seed=9)
    _, expected = run_to(whole, mazes, tmp_path / "whole.pt")
    run_to(killed, mazes, tmp_path / "c.pt", stop=stop)
    steps, seen = run_to(resumed, mazes, tmp_path / "c.pt")
    first = 7 if stop == 6 else 4
    assert steps == list(range(first, 8))
    assert_same_bits(whole, resumed)
    assert seen == expected
    assert [row["step"] for row in seen] == [1, 3, 7]


def test_checkpoints_that_cannot_be_used_are_ignored(mazes, tmp_path):
    checkpoint = tmp_path / "c.pt"
    run_to(new_model(), mazes, checkpoint, stop=4)
    whole = checkpoint.read_bytes()
    assert run_to(new_model(), mazes, checkpoint, stop=4)[0] == [4]
    assert run_to(new_model(), mazes, tmp_path / "c.pt", fingerprint="b", stop=1)[0] == [1]
    for size in (0, 11, len(whole) // 2, len(whole) - 1):
        checkpoint.write_bytes(whole[:size])
        assert run_to(new_model(), mazes, checkpoint, stop=1)[0] == [1]


def test_a_checkpoint_leaves_no_other_file(mazes, tmp_path):
    run_to(new_model(), mazes, tmp_path / "deep" / "c.pt")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["c.pt"]


def test_muon_gets_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = new_model(encoding="learned")
    muon, adamw = optimizers(model, PARAMS)
    names = {id(p): name for name, p in model.named_parameters()}
    matrices = {names[id(p)] for p in muon.param_groups[0]["params"]}
    rest = {names[id(p)] for p in adamw.param_groups[0]["params"]}
    kinds = ("attn.Q", "attn.K", "attn.V", "attn.O", "mlp.W_in", "mlp.W_out")
    assert matrices == {f"blocks.{layer}.{kind}" for layer in range(2) for kind in kinds}
    assert matrices | rest == set(names.values())
    assert not matrices & rest
    assert {"W_E", "W_U", "encoding.W_pos", "blocks.0.norm1.weight"} <= rest


def test_the_rate_warms_up_and_decays_to_nearly_zero():
    params = PARAMS.model_copy(update={"n_steps": 101, "warmup_steps": 11})
    rates = [rate(step, params) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10] == 1.0
    assert rates[11] == 1.0
    assert all(a < b for a, b in zip(rates[:10], rates[1:11], strict=True))
    assert all(a > b for a, b in zip(rates[11:], rates[12:], strict=False))
    assert rates[100] == pytest.approx(1 / 90)


def test_every_weight_is_trained(mazes, tmp_path):
    for encoding in ("learned", "rotary"):
        before, model = new_model(encoding=encoding), new_model(encoding=encoding)
        run_to(model, mazes, tmp_path / f"{encoding}.pt")
        for (name, a), (_, b) in zip(before.named_parameters(), model.named_parameters(), strict=True):
            assert not torch.equal(a, b), name
