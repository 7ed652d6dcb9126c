"""Training: batches, optimisers, resumption, and that it learns."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from mazewm.datasets import draw
from mazewm.inference.behaviour import behave
from mazewm.inference.subject import Subject
from mazewm.io.errors import BadInput
from mazewm.maze import mazes as files_of_mazes
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import PADDING, Vocabulary, prompt_length
from mazewm.model.batches import Batches
from mazewm.model.positions import ENCODINGS
from mazewm.model.recipe import (
    TrainingParams,
    backward,
    forward_of,
    losses,
    n_other_tokens,
    observation_steps,
    optimizers,
    rate,
    rows_that_fit,
)
from mazewm.model.training import Checkpoint, Training, new_transformer, share_solved
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.run import Run
from stages.imports import ROOT

N = 3
VOCABULARY = Vocabulary(N)
PARAMS = TrainingParams(
    n_steps=7,
    batch_size=5,
    n_questions=4,
    position_jitter=0,
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


def new_model(seed=0, encoding="rotary", is_silent=True):
    torch.manual_seed(seed)
    architecture = TransformerParams(n_layers=2, d_model=30, n_heads=3, d_mlp=37)
    model = Transformer(architecture, encoding, len(VOCABULARY), VOCABULARY.max_length)
    if is_silent:
        model.silence()
    return model


@pytest.fixture(scope="module")
def mazes():
    family = draw.FamilyParams(generator="dfs", size=N, min_cells=7, max_cells=8, share=1.0)
    return draw.draw(np.random.default_rng(0), lattice(N), "sparse", family, 61)


@pytest.fixture
def folder(mazes, tmp_path):
    """Artifacts with the mazes that are trained on and looked at, the same for two seeds."""
    for seed, split in itertools.product("01", ("train", "validation")):
        files_of_mazes.write(tmp_path / "mazes" / seed / f"{split}.parquet", mazes)
    return tmp_path


def training_of(
    folder, params=PARAMS, fingerprint="a", seed=0, name="c", objective="all", encoding="rotary"
):
    """A training in a folder, with its checkpoint beside the artifacts."""
    run = Run(encoding, objective, seed, folder)
    architecture = TransformerParams(n_layers=2, d_model=30, n_heads=3, d_mlp=37)
    return Training(run, architecture, params, Checkpoint(folder / name, fingerprint))


def run_to(training, stop=None):
    """Train, up to a step if one is given; the steps that were done."""
    steps, running = [], training.steps()
    for now in running:
        steps.append(now.step)
        if now.step == stop:
            running.close()
    return steps


def assert_same_bits(a, b):
    for (name, left), (_, right) in zip(
        a.state_dict().items(), b.state_dict().items(), strict=True
    ):
        assert torch.equal(left, right), name


@pytest.mark.parametrize(
    ("n_steps", "n", "expected"),
    [(3600, 3, [400, 1600, 3600]), (7, 3, [1, 3, 7]), (4, 8, [1, 2, 3, 4]), (5, 1, [5])],
)
def test_looks_come_most_often_at_first_and_end_with_the_last_step(n_steps, n, expected):
    assert (
        observation_steps(PARAMS.model_copy(update={"n_steps": n_steps, "n_observations": n}))
        == expected
    )


def same_bits(a, b):
    return all(
        torch.equal(left, right)
        for left, right in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_the_loss_of_a_new_model_is_near_that_of_guessing(mazes):
    """Logits have unit variance, which costs half a nat more than the logarithm of the
    vocabulary."""
    batch = Batches(mazes, 31, 4, 0)[0]
    for encoding in ("learned", "none"):
        for loss in per_token(losses(new_model(encoding=encoding), batch, False), batch):
            assert abs(loss - math.log(len(VOCABULARY)) - 0.5) < 0.5


def per_token(both, batch):
    return [
        both.path.item() / batch.n_path_tokens.sum().item(),
        both.other.item() / (n_other_tokens(batch).item() * len(batch.lists)),
    ]


def test_the_loss_is_split_between_the_path_and_what_comes_before(mazes):
    """A model that gives probability one to the right token of one part has no loss there."""

    class Knowing(Transformer):
        def __init__(self, batch, knows_path):
            super().__init__(
                TransformerParams(n_layers=1, d_model=2, n_heads=1, d_mlp=1),
                "none",
                len(VOCABULARY),
                97,
            )
            self.next = torch.cat([batch.lists[:, 1:], batch.questions[:, :1], batch.wanted], dim=1)
            # Of each question, seven tokens are given, the first of them by the list.
            self.is_path = batch.layout.position >= batch.lists.shape[1] + 6
            self.knows_path = knows_path

        def forward(self, tokens, tap=None, layout=None, since=0):
            # What follows the path is padding; the model is wrong there, and that must not count.
            said = torch.where(self.next == PADDING, 1, self.next)
            logits = 100.0 * torch.nn.functional.one_hot(said, self.d_vocab)
            logits[:, ~self.is_path if self.knows_path else self.is_path] = 0.0
            return logits[:, since:]

    batches = Batches(mazes, 17, 4, 0)
    batch = next(
        batch for batch in map(batches.__getitem__, range(99)) if (batch.wanted == PADDING).any()
    )
    guess = math.log(len(VOCABULARY))
    for knows_path, expected in ((True, [0.0, guess]), (False, [guess, 0.0])):
        both = losses(Knowing(batch, knows_path), batch, False)
        assert per_token(both, batch) == pytest.approx(expected, abs=1e-5)
        assert per_token(losses(Knowing(batch, knows_path), batch, True), batch) == pytest.approx(
            [expected[0], 0.0], abs=1e-5
        )


def asked_alone(batch):
    """Each question's sequences: the list, the question and its path; what is after ``<PATH_END>``
    is PADDING."""
    n = batch.lists.shape[1]
    question = batch.layout.question[n:]
    for number in range(int(question.max()) + 1):
        at = torch.nonzero(question == number)[:, 0]
        yield torch.cat([batch.lists, batch.questions[:, at], batch.wanted[:, at[-1:]]], dim=1)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_the_loss_is_that_of_every_question_asked_alone_as_one_sequence(mazes, encoding):
    """The tokens of the list, and the first after it, count once."""
    model, batch = new_model(encoding=encoding, is_silent=False), Batches(mazes, 7, 4, 0)[1]
    n, path, other = batch.lists.shape[1], 0.0, 0.0
    sequences = list(asked_alone(batch))
    assert len(sequences) == 4 and len({sequence.shape[1] for sequence in sequences}) > 1
    for nth, sequence in enumerate(sequences):
        logits = model(sequence[:, :-1])
        each = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), sequence[:, 1:], reduction="none"
        ) * (sequence[:, 1:] != PADDING)
        path += each[:, n + 6 :].sum().item()
        other += each[:, (n if nth else 0) : n + 6].sum().item()
    both, of_path = losses(model, batch, False), losses(model, batch, True)
    assert both.path.item() == pytest.approx(path, rel=1e-5) and both.other.item() == pytest.approx(
        other, rel=1e-5
    )
    assert of_path.path.item() == pytest.approx(path, rel=1e-5) and of_path.other.item() == 0
    n_path = sum((sequence[:, n + 7 :] != PADDING).sum(dim=1) for sequence in sequences)
    assert batch.n_path_tokens.tolist() == n_path.tolist() and n_other_tokens(batch) == n + 4 * 6


def gradients(forward, model, batch, n_rows, other_weight=0.3):
    model.zero_grad()
    both = backward(forward, batch, n_rows, other_weight)
    return both, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("objective", ["all", "path"])
def test_the_parts_of_a_batch_have_its_gradient(mazes, objective):
    """Paths are not equally long, so that the mean of the parts' losses would be another loss."""
    batch, other_weight = Batches(mazes, 11, 4, 0)[0], 0.3 if objective == "all" else 0.0
    assert len(set(batch.n_path_tokens.tolist())) > 1
    model = new_model(encoding="learned", is_silent=False)
    torch.use_deterministic_algorithms(True)
    forward = forward_of(model, objective, PARAMS)
    whole, expected = gradients(forward, model, batch, 11, other_weight)
    assert whole.tolist() == pytest.approx(
        per_token(losses(model, batch, objective == "path"), batch), rel=1e-6
    )
    for n_rows in (1, 4, 10):
        both, gradient = gradients(forward, model, batch, n_rows, other_weight)
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
    batch, model = Batches(mazes, 31, 4, 0)[0], new_model()
    for block in model.layers:
        torch.nn.init.normal_(block.attn.O, std=0.2)
    (exact, gradient), (rounded, other) = (
        gradients(
            forward_of(model, "all", PARAMS.model_copy(update={"precision": precision})),
            model,
            batch,
            99,
        )
        for precision in ("fp32", "bf16")
    )
    assert not torch.equal(exact, rounded)
    assert torch.allclose(exact, rounded, rtol=0.02)
    assert torch.nn.functional.cosine_similarity(gradient, other, dim=0) > 0.995
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())


GRAPHS = """
import sys
import torch
sys.path.insert(0, "tests")
from circuits.planted_circuit import trees
from mazewm.model.batches import Batches
from mazewm.model.positions import ENCODINGS
from mazewm.model.recipe import TrainingParams, forward_of, losses
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.run import Run

compiler, mazes, seen = torch.compile, trees(101), set()
both = [*((encoding, "all") for encoding in ENCODINGS), ("rotary", "path"), ("alibi", "path")]
for encoding, objective in both:
    graphs = []
    keep = lambda graph, _: graphs.append(graph) or graph.forward
    how = {"fullgraph": True, "backend": keep}
    torch.compile = lambda model, dynamic: compiler(model, dynamic=dynamic, **how)
    torch._dynamo.reset()
    shape = TransformerParams(n_layers=2, d_model=30, n_heads=3, d_mlp=37)
    model = Transformer(shape, encoding, 20, 60)
    params = TrainingParams.model_construct(precision="fp32", compile=True)
    forward = forward_of(model, objective, params)
    for n_mazes, n_questions in ((5, 4), (4, 3), (3, 1), (7, 2)):
        for i in range(2):
            batch = Batches(mazes, n_mazes, n_questions, 0)[i]
            found, expected = forward(batch), losses(model, batch, objective == "path")
            assert torch.allclose(torch.stack(found), torch.stack(expected), rtol=1e-5), encoding
            seen.add((batch.lists.shape, batch.questions.shape))
    assert len(graphs) == 1, (encoding, objective, len(graphs))
assert len(seen) > 6
"""


@pytest.mark.slow
def test_a_compiled_step_is_one_graph_for_all_lengths():
    """And for all numbers of questions and of their lengths. With the kernels of eager torch, since
    it is the graph that matters; ``fullgraph`` refuses a break in it. Apart from the checks of
    shapes, which cannot be traced."""
    done = subprocess.run([sys.executable, "-c", GRAPHS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_it_overfits_a_few_mazes(mazes, folder):
    few = mazes[mazes.by_n_connections()[7][:7]]
    for split in ("train", "validation"):
        files_of_mazes.write(folder / "mazes" / "0" / f"{split}.parquet", few)
    params = PARAMS.model_copy(update={"n_steps": 180, "batch_size": 7, "warmup_steps": 5})
    training = training_of(folder, params, objective="path")
    run_to(training)
    assert [row.step for row in training.history] == [20, 80, 180]
    assert training.history[-1].loss_path < 0.3 * math.log(len(VOCABULARY))
    assert training.history[-1].solved > training.history[0].solved


def test_the_same_seed_gives_the_same_bits_and_another_does_not(folder):
    trained = [training_of(folder, seed=i // 2, name=f"{i}") for i in range(3)]
    for one in trained:
        run_to(one)
    assert_same_bits(trained[0].model, trained[1].model)
    assert trained[0].history == trained[1].history != trained[2].history
    assert not same_bits(trained[0].model, trained[2].model)
    assert not same_bits(trained[0].model, training_of(folder).model)


@pytest.mark.parametrize("stop", [3, 5, 6])
def test_a_run_that_was_killed_ends_with_the_same_bits(folder, stop):
    whole, killed, resumed = (training_of(folder, name=name) for name in ("whole", "c", "c"))
    run_to(whole)
    run_to(killed, stop=stop)
    first = 7 if stop == 6 else 4
    assert run_to(resumed) == list(range(first, 8))
    assert_same_bits(whole.model, resumed.model)
    assert resumed.history == whole.history
    assert [row.step for row in resumed.history] == [1, 3, 7]
    for name, one in (("expected", whole), ("out", resumed)):
        (folder / name / "snapshots").mkdir(parents=True)
        one.write(folder / name, folder / name / "snapshots")
    expected, found = (
        {p.relative_to(folder / n): p.read_bytes() for p in (folder / n).rglob("*.*")}
        for n in ("expected", "out")
    )
    assert found == expected and len(found) == 5


def test_checkpoints_that_cannot_be_used_are_ignored(folder):
    run_to(training_of(folder), stop=4)
    state = folder / "c" / "state.pt"
    whole = state.read_bytes()
    assert run_to(training_of(folder), stop=4) == [4]
    assert run_to(training_of(folder, fingerprint="b"), stop=1) == [1]
    for size in (0, 11, len(whole) // 2, len(whole) - 1):
        state.write_bytes(whole[:size])
        assert run_to(training_of(folder), stop=1) == [1]


def test_what_was_kept_goes_when_the_model_is_written(folder):
    training = training_of(folder)
    run_to(training)
    assert sorted(path.name for path in (folder / "c").iterdir()) == ["snapshots", "state.pt"]
    (folder / "out").mkdir()
    (folder / "snapshots").mkdir()
    training.write(folder / "out", folder / "snapshots")
    assert (folder / "c").exists(), "until what was written is in its place"
    training.end()
    assert not (folder / "c").exists()
    snapshots = [Transformer.load(path) for path in sorted((folder / "snapshots").iterdir())]
    assert_same_bits(snapshots[-1], training.model)
    assert not same_bits(snapshots[0], training.model)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_solved_is_the_share_of_rollouts_that_are_the_path(mazes, folder, encoding):
    """Teacher forcing and greedy rollouts agree, for a model that solves some mazes and not
    others."""
    params = PARAMS.model_copy(
        update={"n_steps": 120, "batch_size": 16, "warmup_steps": 5, "n_observations": 1}
    )
    training = training_of(folder, params, encoding=encoding, objective="path")
    run_to(training)
    rolled = behave(Subject(training.model, mazes, 3, 16)).solved.mean()
    assert share_solved(training.model, mazes, 3, 16) == rolled
    assert 0 < rolled < 1


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


def test_every_weight_is_trained(folder):
    for encoding in ("learned", "rotary"):
        training = training_of(folder, encoding=encoding, name=encoding)
        before = new_transformer(training.run, training.model.params, N)
        run_to(training)
        for (name, a), (_, b) in zip(
            before.named_parameters(), training.model.named_parameters(), strict=True
        ):
            assert not torch.equal(a, b), name


def test_a_jitter_beyond_the_context_is_refused(folder):
    room = VOCABULARY.max_length - (prompt_length(7) + N * N + 1)
    fits, beyond = (PARAMS.model_copy(update={"position_jitter": n}) for n in (room, room + 1))
    assert run_to(training_of(folder, fits, name="fits"), stop=1) == [1]
    with pytest.raises(BadInput, match=rf"position_jitter: expected at most {room},.*{room + 1}"):
        run_to(training_of(folder, beyond, name="beyond"))


def test_a_second_training_of_a_run_is_refused_while_the_first_one_goes_on(folder):
    """They would share a checkpoint, and the first to end deletes it."""
    first, second = training_of(folder), training_of(folder)
    going = first.steps()
    next(going)
    with pytest.raises(BadInput, match=f"another process trains {first.run.name}"):
        next(second.steps())
    list(going)
    with pytest.raises(BadInput, match="another process"):
        next(second.steps())
    weights, snapshots = folder / "out", folder / "snapshots"
    weights.mkdir()
    snapshots.mkdir()
    first.write(weights, snapshots)
    first.end()
    run_to(second)


def test_a_loss_that_is_no_number_ends_training_and_keeps_the_last_good_checkpoint(folder):
    run_to(training_of(folder), stop=4)
    training = training_of(folder)
    good = training.checkpoint.load(torch.device("cpu"))
    steps = training.steps()
    assert next(steps).step == 4
    with torch.no_grad():
        training.model.W_U.fill_(float("nan"))
    said = r"the loss is nan at step 5;.* checkpoint is that of step 3, in .*c"
    with pytest.raises(BadInput, match=said):
        list(steps)
    kept = training.checkpoint.load(torch.device("cpu"))
    assert kept["step"] == good["step"] == 3
    assert all(torch.equal(kept["model"][name], good["model"][name]) for name in kept["model"])


def test_a_loss_that_does_not_fall_is_refused(folder):
    params = PARAMS.model_copy(update={"n_steps": 12, "muon_lr": 30.0, "adamw_lr": 30.0})
    with pytest.raises(BadInput, match=r"has not fallen: \d\.\d+ nats.*at the end, step 12"):
        list(training_of(folder, params).steps())
