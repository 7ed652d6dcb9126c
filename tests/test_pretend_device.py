"""Every analysis on a pretend accelerator, which refuses what a real one refuses, comes to what it
comes to on the CPU.
"""

import copy

import numpy as np
import pytest
import torch
from planted import N_CONNECTIONS, SITE, dictionary, random_sae, sparse_sums, trees
from planted_edits import WRITING
from pretend_device import DEVICE, NAME, Walled, best_device, same
from sae.recipes import POINT, recipe
from toys import tiny

from mazewm.circuits import tracing
from mazewm.circuits.params import CircuitParams
from mazewm.circuits.readable import Readable
from mazewm.counterfactuals import pairs as made
from mazewm.counterfactuals.forks import forks
from mazewm.inference import behaviour
from mazewm.inference.subject import Subject
from mazewm.inference.trials import Trial
from mazewm.interventions.directions import (
    ARROWS,
    DICTIONARIES,
    DIMENSIONS,
    Dictionary,
    Directions,
    Units,
)
from mazewm.interventions.edits import OTHER, RANDOM, Condition, Method, Writer
from mazewm.localize import activations, consolidation, writing
from mazewm.localize.locations import PAPER_LOCATION
from mazewm.maze import mazes as files_of_mazes
from mazewm.maze.tokens import PATH_END, TokenClass, Vocabulary
from mazewm.model.positions import ENCODINGS
from mazewm.model.recipe import TrainingParams
from mazewm.model.sites import Place, Site
from mazewm.model.training import Checkpoint, Training
from mazewm.model.transformer import TransformerParams
from mazewm.planning import probes, reading, steering
from mazewm.planning.facts import FACTS
from mazewm.planning.steering import Steering
from mazewm.run import Run
from mazewm.sae import quality, stability, training
from mazewm.sae.params import Point

VOCABULARY, MAZES = Vocabulary(3), trees(53)
PLACE = Place(0, Site.RESID_POST)
VALUES = sparse_sums(dictionary(), 2003)


def walker(encoding="learned"):
    """A random model that walks from cell to cell, though not for ever."""
    model = tiny(encoding, d_vocab=len(VOCABULARY), n_ctx=VOCABULARY.max_length)
    model.W_U[:, : VOCABULARY.first_cell] = 0
    model.W_U[:, PATH_END] = 3 * model.W_U[:, -1]
    return model


def subject(model, some=MAZES):
    return Subject(model, some, 0, 17)


def there(module):
    return copy.deepcopy(module).to(DEVICE)


def agree(function, *modules):
    """What a function makes of modules on the CPU is what it makes of them on the pretend
    device."""
    here = function(*modules)
    with best_device(NAME):
        other = function(*map(there, modules))
    assert same(here, other)
    return here


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x + torch.ones(1),
        lambda x: torch.ones(3) * x,
        lambda x: torch.ones(3).add_(x),
        lambda x: torch.ones(3)[x.long()],
        lambda x: torch.cat([x, torch.ones(3)]),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: x.double(),
        lambda x: torch.from_numpy(np.ones(3)).to(x.device),
        lambda x: torch.randn(3, device=x.device),
        lambda x: tiny("rotary").to(DEVICE).norm_final(torch.ones(3, 30)),
        lambda x: setattr(x, "data", torch.ones(3)),
    ],
)
def test_the_wall_stands(wrong):
    with pytest.raises((RuntimeError, TypeError)):
        wrong(torch.ones(3, device=DEVICE))


def test_the_wall_has_doors():
    x = torch.arange(3.0).to(DEVICE)
    assert isinstance(x, Walled) and x.device == DEVICE
    assert x.cpu().numpy().tolist() == x.tolist() == [0, 1, 2]
    assert (x * 2 + torch.tensor(1.0))[torch.tensor([2, 0])].tolist() == [5, 1], (
        "scalars and indices may come from the CPU"
    )
    assert x.sum().item() == float(x[1:].sum()) == 3
    view = x[:2]
    view += 1
    x.data = x * 10
    assert x.tolist() == [10, 20, 20]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_behaviour_and_consolidation(encoding):
    rows = agree(lambda model: behaviour.behaviour_rows(subject(model), "test"), walker(encoding))
    assert len(rows) == len(MAZES)
    agree(lambda model: behaviour.behave(subject(model)).cells.tolist(), walker(encoding))
    agree(lambda model: consolidation.formation(subject(model)), walker(encoding))


def test_writing():
    twins = some_of(made.twins(made.trees_of(MAZES, 7), np.random.default_rng(0), 1), 7)

    def written(model):
        arrows = writing.arrows_of(subject(model), [SITE, PAPER_LOCATION])
        rows = writing.write_everywhere(subject(model), arrows, twins, [1.0, 4.0])
        return rows, [list(arrow.ravel()) for arrow in arrows.values()]

    agree(written, walker())


def test_activations(tmp_path):
    def cached(model):
        folder = tmp_path / model.device.type
        wanted = activations.Wanted([PLACE, Place(1, Site.MLP_POST)], list(TokenClass))
        activations.cache(folder, subject(model), wanted)
        return [
            column.astype(float).tolist() if column.dtype.kind == "f" else column.tolist()
            for column in activations.read(folder / "0.resid_post")
        ]

    agree(cached, walker())


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("activation", ["topk", "relu", "batch_topk"])
def test_training_an_sae(activation, frozen):
    """With latents that die, so that the two ways to revive them are compared; ended before
    rounding makes another choice of the top k."""
    point = Point(47, 0.01) if activation == "relu" else POINT._replace(width=47)
    params = recipe(activation=activation, dead_share=0.02, aux_weight=0.5)

    def trained(name):
        with best_device(name):
            sae = training.train(VALUES, params, point, 0, 40 * params.batch_size, frozen)
        assert sae.device.type == name
        return {key: value.cpu().numpy() for key, value in sae.state_dict().items()}

    here, other = trained("cpu"), trained(NAME)
    for key, value in here.items():
        assert np.allclose(value, other[key], rtol=1e-3, atol=1e-4), key


def cached_values(model, folder):
    activations.cache(folder, subject(model), activations.Wanted([PLACE], list(TokenClass)))
    return activations.read(folder / str(PLACE))


def test_describing_and_splicing(tmp_path):
    held_out = cached_values(walker(), tmp_path)
    mean = held_out.values.mean(axis=0, dtype=np.float64)
    for activation in ("topk", "relu", "batch_topk"):
        sae = random_sae(30, 47, activation)
        agree(lambda sae: quality.describe("trained", PLACE, sae, held_out), sae)
        agree(
            lambda model, sae: quality.Splicing(model, PLACE, mean, 0, 17).quality(sae, MAZES),
            walker(),
            sae,
        )


def test_stability(tmp_path):
    held_out = cached_values(walker(), tmp_path)
    agree(
        lambda *saes: stability.compare(PLACE, *saes, held_out.values),
        *(random_sae(30, 47, seed=seed) for seed in range(3)),
    )


def test_saving_and_loading(tmp_path):
    sae, model = random_sae(30, 47), walker()
    there(sae).save(tmp_path / "sae")
    there(model).save(tmp_path / "model")
    with best_device(NAME):
        for path, module in ((tmp_path / "sae", sae), (tmp_path / "model", model)):
            found = type(module).load(path)
            assert found.device == DEVICE
            assert all(
                torch.equal(value.cpu(), module.state_dict()[key])
                for key, value in found.state_dict().items()
            )


@pytest.mark.parametrize("encoding", [pytest.param("learned", marks=pytest.mark.slow), "alibi"])
def test_circuits(encoding):
    """All that is traced, with thresholds so low that there are heads of each kind."""
    params = CircuitParams(
        n_mazes=20,
        batch_size=9,
        connectivity_threshold=0.01,
        n_binding_mazes=8,
        n_position_bins=3,
        n_swaps=3,
        n_threads=1,
    )
    best = {e: 3 * e + 1 for e in range(N_CONNECTIONS)}

    def traced(model, sae):
        known = [Readable(location, sae, best) for location in (SITE, PAPER_LOCATION)]
        rows = tracing.trace_subject(
            subject(model, MAZES[:20]), subject(model, MAZES[43:60]), known, params
        ).rows
        # the whole stage writes what later heads read
        return tuple(rows[name] for name in tracing.ROW_TYPES if name != "readers")

    found = agree(traced, walker(encoding), random_sae(30, 47))
    assert all(found), "every table has rows"


def some_of(pairs, n):
    """The largest batch of some pairs."""
    return pairs[max(pairs.batches(n), key=len)]


def directions(sae):
    """Random directions and latents, as if they had been found at the writing site."""
    rng = np.random.default_rng(0)
    units = Units(
        np.argsort(rng.random((N_CONNECTIONS, 47)), axis=1)[:, :3], rng.random((N_CONNECTIONS, 3))
    )
    arrows = {name: 9 * rng.standard_normal((N_CONNECTIONS, 30)) for name in ARROWS}
    dictionaries = {
        name: Dictionary(sae, units, 9 * rng.random((N_CONNECTIONS, 3))) for name in DICTIONARIES
    }
    known = Directions(
        WRITING.source, dictionaries, arrows, Units(units.ids % 30, units.correlation)
    )
    return {str(WRITING.source): known}


def test_interventions():
    """Every method, added, removed, dealt, and two at once."""
    rng, trees_ = np.random.default_rng(0), made.trees_of(MAZES, 7)
    twins = some_of(made.twins(trees_, rng, 1), 7)
    tried = {
        "site": twins,
        "own": twins.backwards(),
        "dealt": some_of(made.singles(trees_, rng, 2, 20), 7),
    }
    names = [*DICTIONARIES, *ARROWS, DIMENSIONS, RANDOM, OTHER]

    def edited(model, sae):
        found = []
        for where, pairs in (*tried.items(), ("both", some_of(made.moves(trees_, rng0(), 1), 7))):
            trial = Trial(model, pairs, rng0(), {WRITING.layer})
            writer = Writer(pairs, trial.lists, directions(sae), 0)
            for name in names:
                wheres = ("site", "own") if where == "both" else (where,)
                conditions = [Condition(Method(name, 3), WRITING, one, 2.0) for one in wheres]
                edit = writer.edit(conditions)
                answers = trial.compare(trial.read.edited(edit), WRITING.layer)
                counts = vars(trial.count(answers))
                found.append([column.tolist() for column in counts.values()])
                found.append(float(writer.length))
                found.append(answers.straight.tolist())
        return found

    found = agree(edited, walker(), random_sae(30, 47))
    assert len(found) == 3 * 4 * len(names)


def rng0():
    return np.random.default_rng(0)


def test_beyond_the_input():
    mazes = trees(101)
    agree(
        lambda model: list(reading.read(model, mazes, {}, 0, 53).fitted.ravel()),
        walker(),
    )
    rng = np.random.default_rng(0)
    n_units = {
        "distance": VOCABULARY.grid.n_cells,
        "on_path": VOCABULARY.grid.n_cells,
        "toward_target": N_CONNECTIONS,
    }
    known = {
        (fact, token, depth): probes.Directions(
            *rng.standard_normal((4, n_units[fact], 30)), np.ones(n_units[fact], bool)
        )
        for fact in FACTS
        for token in reading.LAST
        for depth in (1, 2)
    }
    chosen = forks(mazes, "first", np.random.default_rng(0), 7)
    assert len(chosen) == 7

    def steered(model):
        wanted = steering.conditions(
            steering.places("first", 2), (steering.STEERED, *steering.OTHERS), [3.0]
        )
        rows = Steering(model, known, 0, 5).steer(chosen, "test", wanted)
        return rows.drop(columns="measured").values.tolist(), [
            list(cells) for cells in rows.measured
        ]

    agree(steered, walker())


def test_a_training_moves_between_devices(tmp_path):
    """Three steps here, the rest there, from the checkpoint that was kept here: the weights are
    those of a training that stayed."""
    params = TrainingParams.model_construct(
        n_steps=7,
        batch_size=5,
        n_questions=3,
        position_jitter=0,
        other_weight=0.3,
        muon_lr=0.003,
        adamw_lr=0.003,
        weight_decay=0.01,
        warmup_steps=2,
        checkpoint_every=3,
        n_observations=2,
        n_observed_mazes=5,
        n_threads=1,
        precision="fp32",
        compile=False,
    )

    for split in ("train", "validation"):
        files_of_mazes.write(tmp_path / "mazes" / "0" / f"{split}.parquet", trees(151))

    def start(name):
        shape = TransformerParams(n_layers=2, d_model=30, n_heads=3, d_mlp=37)
        return Training(
            Run("rotary", "all", 0, tmp_path), shape, params, Checkpoint(tmp_path / name, "a")
        )

    def to(training, last):
        next(progress for progress in training.steps() if progress.step == last)
        return [[row.step, row.loss_path, row.loss_other] for row in training.history]

    stayed, left, came = start("whole"), start("moved"), start("moved")
    came.model = there(came.model)
    expected = to(stayed, 7)
    to(left, 4)
    assert to(came, 7) == [pytest.approx(row, rel=1e-4) for row in expected]
    for (name, a), (_, b) in zip(
        stayed.model.state_dict().items(), came.model.state_dict().items(), strict=True
    ):
        assert torch.allclose(a, b.cpu(), atol=1e-3), name
