"""Training: batches, optimisers, resumption, and that it learns."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from toys import HOOK, batch

from mazewm.errors import BadInput
from mazewm.maze import datasets
from mazewm.maze.lattice import lattice
from mazewm.model.batches import N_AHEAD, Batches, ahead, on_device
from mazewm.model.training import TrainingParams, backward, forward_of, losses, observation_steps, optimizers, rate, rows_that_fit, train
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.tokens import PADDING, Vocabulary, prompt_length, spell
from tests.pipeline_deps import ROOT

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
    precision="fp32",
    compile=False,
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
        spelled = spell(mazes[group], np.random.default_rng(0))
        path, other = losses(new_model(encoding=encoding), torch.from_numpy(spelled.tokens), spelled.n_connections)
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
    for knows_path, expected in ((True, [0.0, guess]), (False, [guess, 0.0])):
        both = losses(Knowing(spelled, knows_path), torch.from_numpy(spelled.tokens), spelled.n_connections)
        assert [loss.item() for loss in both] == pytest.approx(expected, abs=1e-5)


def gradients(forward, model, batch, n_rows, other_weight=0.3):
    model.zero_grad()
    both = backward(forward, batch, n_rows, other_weight)
    return both, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("other_weight", [0.0, 0.3])
def test_the_parts_of_a_batch_have_its_gradient(mazes, other_weight):
    """Paths are not equally long, so that the mean of the parts' losses would be another loss."""
    group = mazes.by_n_connections()[7][:11]
    batch = on_device(spell(mazes[group], np.random.default_rng(0)), torch.device("cpu"))
    assert len(set(batch.n_path_tokens.tolist())) > 1
    model = new_model(encoding="learned")
    torch.nn.init.normal_(model.layers[0].attn.O)
    torch.use_deterministic_algorithms(True)
    whole, expected = gradients(model, model, batch, 11, other_weight)
    path, other = losses(model, batch.tokens, 7)
    assert torch.equal(whole, torch.stack([path, other]))
    for n_rows in (1, 4, 10):
        both, gradient = gradients(model, model, batch, n_rows, other_weight)
        assert torch.allclose(both, whole, rtol=1e-5)
        assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-6)
    assert expected.abs().max() > 0.01


def test_a_batch_is_halved_until_it_fits():
    assert rows_that_fit(64, 1.0, 64.0) == 64
    assert rows_that_fit(64, 1.0, 63.0) == 32
    assert rows_that_fit(64, 10.0, 159.0) == 8
    assert rows_that_fit(7, 1.0, 6.0) == 4
    assert rows_that_fit(64, 1e9, 1.0) == 1


def test_bf16_is_fp32_but_for_its_rounding(mazes):
    batch = on_device(spell(mazes[mazes.by_n_connections()[7]], np.random.default_rng(0)), torch.device("cpu"))
    model = new_model()
    for block in model.layers:
        torch.nn.init.normal_(block.attn.O, std=0.2)
    (exact, gradient), (rounded, other) = (
        gradients(forward_of(model, PARAMS.model_copy(update={"precision": precision})), model, batch, 99) for precision in ("fp32", "bf16")
    )
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, rtol=0.02)
    assert torch.nn.functional.cosine_similarity(gradient, other, dim=0) > 0.995
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())


GRAPHS = """
import torch
from mazewm.model.positions import ENCODINGS
from mazewm.model.training import TrainingParams, forward_of
from mazewm.model.transformer import Transformer, TransformerParams

compiler = torch.compile
for encoding in ENCODINGS:
    graphs = []
    keep = lambda graph, _: graphs.append(graph) or graph.forward
    torch.compile = lambda model, dynamic: compiler(model, dynamic=dynamic, fullgraph=True, backend=keep)
    torch._dynamo.reset()
    model = Transformer(TransformerParams(n_layers=2, d_model=30, n_heads=3, d_mlp=37), encoding, 20, 60)
    forward = forward_of(model, TrainingParams.model_construct(precision="fp32", compile=True))
    for n_mazes, length in ((5, 40), (5, 44), (4, 37), (3, 41)):
        tokens = torch.randint(20, (n_mazes, length))
        assert torch.allclose(forward(tokens), model(tokens), atol=1e-5), encoding
    assert len(graphs) == 1, (encoding, len(graphs))
"""


def test_a_compiled_step_is_one_graph_for_all_lengths():
    """With the kernels of eager torch, since it is the graph that matters; ``fullgraph`` refuses a break in it. Apart from the checks of
    shapes, which cannot be traced."""
    done = subprocess.run([sys.executable, "-c", GRAPHS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_batches_come_ahead_in_their_order(mazes):
    batches = Batches(mazes, 5, 3)
    last = 2 * N_AHEAD + 3
    came = list(ahead(batches, 2, last, torch.device("cpu")))
    assert len(came) == last - 2
    for i, one in enumerate(came, 2):
        spelled = Batches(mazes, 5, 3)[i]
        assert np.array_equal(one.tokens.numpy(), spelled.tokens)
        assert one.n_connections == spelled.n_connections
        path = spelled.tokens[:, prompt_length(spelled.n_connections) :]
        assert one.n_path_tokens.tolist() == [(row != PADDING).sum() for row in path]
    assert list(ahead(batches, 4, 4, torch.device("cpu"))) == []


def test_the_longest_batch_has_most_connections(mazes):
    spelled = Batches(mazes, 5, 0).longest(3)
    assert spelled.tokens.shape[0] == 3
    assert spelled.n_connections == max(n for n, index in mazes.by_n_connections().items() if len(index) >= 5)


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
