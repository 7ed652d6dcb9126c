"""Circuits of one head, of mazes without a swap, and of a maze with one other."""

import numpy as np
import pytest
import torch
from circuits import planted_circuit as toy
from circuits.test_knockout import BINDING, C2, MAZES, NAMED

from mazewm.circuits import binding, edges, faithfulness
from mazewm.circuits.attention import BindingHead
from mazewm.circuits.knockout import Knockout, knock_out
from mazewm.circuits.patching import patch
from mazewm.circuits.prediction import predict
from mazewm.circuits.readable import Readable
from mazewm.counterfactuals.swaps import swaps
from mazewm.inference.subject import Subject
from mazewm.maze.tokens import Vocabulary
from mazewm.model.transformer import Transformer

KNOWN = Readable(C2, toy.planted_sae(), toy.BEST)


def subject(mazes, model=None, batch=53):
    return Subject(model or toy.planted(), mazes, 0, batch)


def test_the_mean_that_replaces_a_head_leaves_the_maze_itself_out():
    """Batches of two, so that means are of other batches, too."""
    study = Knockout.of(subject(MAZES[:7], batch=2), KNOWN)
    owner = np.concatenate([batch.owner for batch in study.batches])
    z = study.instead.z[0]
    for batch, means in zip(study.batches, study.instead.means, strict=True):
        for nth, maze in enumerate(batch.maze):
            expected = z[torch.from_numpy(owner != maze)].mean(dim=0)
            assert torch.allclose(means[0][nth], expected, atol=1e-6)
    assert not torch.allclose(means[0][0], z.mean(dim=0), atol=1e-4)


@pytest.mark.parametrize("batch", [1, 53])
def test_of_two_mazes_each_is_the_mean_of_the_other(batch, monkeypatch):
    """Half of what was to be ablated stayed."""
    n, means, own = MAZES.n_connections, list[torch.Tensor](), list[torch.Tensor]()
    two = MAZES[np.flatnonzero(n == n.max())[:2]]

    def record(model, resid, layer, heads, mean, target):
        if not heads:
            means.append(mean)
            own.append(faithfulness._z(model, resid[:, : mean.shape[2]], layer))
        return -1.0 - len(heads)

    monkeypatch.setattr(faithfulness, "_log_probability", record)
    rows = faithfulness.measure(subject(two, batch=batch), {C2: BINDING})
    assert {row.n for row in rows} == {2}
    assert torch.allclose(torch.cat(means), torch.cat(own).flip(0), atol=1e-6)
    study = Knockout.of(subject(two), KNOWN)
    effects = [r.effect_own for r in knock_out(study, NAMED) if r.heads == "binding"]
    assert effects and np.isfinite(effects).all()


def test_without_binding_heads_nothing_is_predicted_by_them():
    """A circuit of no head was compared with one of all heads."""
    study = Knockout.of(subject(MAZES[:40]), KNOWN)
    assert predict(study, []) == [] and predict(study, [(0, 0)])


def test_a_model_with_one_head_has_no_other_heads():
    two, vocabulary = toy.planted(), Vocabulary(3)
    shape = two.params.model_copy(update={"n_heads": 1})
    model = Transformer(shape, "learned", len(vocabulary), toy.N_POS)
    model.requires_grad_(False)
    arrows = np.random.default_rng(0).normal(size=(12, model.params.d_model)).astype(np.float32)
    assert binding.choose_heads(subject(MAZES[:40], model), C2, arrows) == []
    rows = faithfulness.measure(subject(MAZES[:40], model), {C2: [BindingHead(0, 0, 1.0)]})
    assert {row.circuit for row in rows} <= {"binding", "complement"}
    found = knock_out(Knockout.of(subject(MAZES[:40], model), KNOWN), NAMED)
    assert {row.heads for row in found} <= {"0.0", "binding", "all"}


def test_without_a_swap_there_are_no_edges_and_no_patches():
    nobody = subject(MAZES[:40])
    none = swaps(nobody.mazes, nobody.rng("swaps"), 0)
    assert len(none) == 0 and patch(nobody, none) == ([], [])
    assert edges.choose_circuit(nobody, none) == [] and edges.measure_edges(nobody, none, []) == []
