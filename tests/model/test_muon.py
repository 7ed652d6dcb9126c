"""Muon: the same updates as torch's, in float32, for all shapes; and what it is for."""

import pytest
import torch
from torch.optim import _muon

from mazewm.model.muon import Muon, orthogonalise

SHAPES = [(7, 7), (5, 11), (11, 5), (7, 7), (5, 11)]


def parameters(seed):
    torch.manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def in_float32(grad, coefficients, n_steps, eps):
    """torch's orthogonalisation with its cast to bfloat16 left out."""
    x = grad.T if grad.shape[0] > grad.shape[1] else grad
    x = x / x.norm().clamp(min=eps)
    a, b, c = coefficients
    for _ in range(n_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if grad.shape[0] > grad.shape[1] else x


def test_updates_are_those_of_torch_in_float32(monkeypatch):
    monkeypatch.setattr(_muon, "_zeropower_via_newtonschulz", in_float32)
    ours, theirs = parameters(0), parameters(0)
    settings = {"lr": 0.1, "weight_decay": 0.3, "momentum": 0.9}
    one, other = (
        Muon(ours, **settings),
        torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings),
    )
    for step in range(5):
        torch.manual_seed(step)
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape) * 10.0 ** (step - 2)
            q.grad = p.grad.clone()
        before = [p.detach().clone() for p in ours]
        one.step()
        other.step()
        for p, q, old in zip(ours, theirs, before, strict=True):
            assert (p - old).abs().max() > 0.01
            torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


def test_updates_are_near_those_of_torch_as_it_ships():
    """In bfloat16, so to two digits only."""
    ours, theirs = parameters(1), parameters(1)
    settings = {"lr": 0.1, "weight_decay": 0.0, "momentum": 0.95}
    for opt, params in (
        (Muon(ours, **settings), ours),
        (torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings), theirs),
    ):
        torch.manual_seed(2)
        for p in params:
            p.grad = torch.randn(p.shape)
        opt.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=0.03, atol=0.02)


def test_singular_values_become_about_one_and_vectors_stay():
    torch.manual_seed(0)
    stack = torch.randn(3, 5, 11, dtype=torch.float64)
    u, s, vh = torch.linalg.svd(stack, full_matrices=False)
    assert s.max() / s.min() > 2
    projected = u.mT @ orthogonalise(stack) @ vh.mT
    singular = projected.diagonal(dim1=1, dim2=2)
    assert (singular > 0.6).all() and (singular < 1.3).all()
    torch.testing.assert_close(projected, torch.diag_embed(singular), atol=1e-9, rtol=0)


def test_a_parameter_without_a_gradient_stays_and_a_zero_gradient_is_no_error():
    still, moved = (torch.nn.Parameter(torch.ones(3, 3)) for _ in range(2))
    moved.grad = torch.zeros(3, 3)
    Muon([still, moved], lr=0.1, weight_decay=0.5, momentum=0.9).step()
    assert torch.equal(still, torch.ones(3, 3))
    torch.testing.assert_close(moved, torch.full((3, 3), 0.95))


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        Muon([torch.nn.Parameter(torch.ones(3))], lr=0.1, weight_decay=0.0, momentum=0.9)
