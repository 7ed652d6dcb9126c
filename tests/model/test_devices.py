"""The device that is chosen, and what a model is on CUDA: the same up to rounding.
(test_pretend_device.py needs no accelerator.)
"""

import copy

import numpy as np
import pytest
import torch
from planted import random_sae, trees
from toys import tiny, wanderer

from mazewm.inference.rollout import questions_of, rollouts
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import Vocabulary, encode
from mazewm.model import devices
from mazewm.model.batches import Batches
from mazewm.model.positions import ENCODINGS
from mazewm.model.recipe import TrainingParams, backward, forward_of

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # float32, summed in another order
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch finds no CUDA device here"
)


@pytest.fixture
def there(monkeypatch):
    """Say which accelerators torch finds, and what the environment asks for."""

    def say(asked, cuda=False, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        # Set before it is removed, so that whatever stood there comes back.
        for name, value in ((devices.VARIABLE, asked), ("CUBLAS_WORKSPACE_CONFIG", None)):
            monkeypatch.setenv(name, value or "")
            if value is None:
                monkeypatch.delenv(name)

    return say


@pytest.mark.parametrize("asked", [None, "auto"])
@pytest.mark.parametrize(
    ("cuda", "mps", "found"), [(0, 0, "cpu"), (0, 1, "mps"), (1, 0, "cuda"), (1, 1, "cuda")]
)
def test_the_best_that_is_there(there, asked, cuda, mps, found):
    there(asked, bool(cuda), bool(mps))
    assert devices.best() == torch.device(found)


@pytest.mark.parametrize("name", ["cpu", "mps", "cuda"])
def test_a_device_by_name(there, name):
    there(name, cuda=True, mps=True)
    assert devices.best() == torch.device(name)


@pytest.mark.parametrize("name", ["mps", "cuda"])
def test_an_absent_device_is_refused(there, name):
    there(name)
    with pytest.raises(
        BadInput,
        match=rf"MAZEWM_DEVICE: expected a device that torch .* finds here, found '{name}'\.",
    ):
        devices.best()


@pytest.mark.parametrize("name", ["gpu", "", "CPU", "cuda:0"])
def test_a_wrong_name_is_refused(there, name):
    there(name, cuda=True, mps=True)
    with pytest.raises(
        BadInput,
        match=r"MAZEWM_DEVICE: expected one of \['auto', 'cpu', 'cuda', 'mps'\], found '"
        + name
        + r"'\.",
    ):
        devices.best()


def on_both(module):
    return module, copy.deepcopy(module).cuda()


def close(here, there):
    return torch.allclose(here, there.cpu(), **TOLERANCE)


@needs_cuda
@pytest.mark.parametrize("objective", ["all", "path"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_logits_losses_and_gradients_on_cuda(encoding, objective):
    vocabulary = Vocabulary(3)
    params = TrainingParams.model_construct(precision="fp32", compile=False)
    model = tiny(encoding, d_vocab=len(vocabulary), n_ctx=vocabulary.max_length).requires_grad_()
    one, other = on_both(model)
    batch = Batches(trees(101), 31, 4, 0)[0]
    assert close(one(batch.lists), other(batch.lists.cuda()))
    here, there = (
        backward(forward_of(each, objective, params), batch.to(each.device), 7, other_weight=0.3)
        for each in (one, other)
    )
    assert close(here, there)
    for (name, weight), twin in zip(one.named_parameters(), other.named_parameters(), strict=True):
        assert close(weight.grad, twin[1].grad), name


@needs_cuda
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_rollout_on_cuda(encoding):
    """The same cells: a random model's two best logits lie farther apart than rounding."""
    mazes = trees(61)
    mazes = mazes[mazes.n_connections == 7]
    one, other = on_both(wanderer(encoding))
    lists = torch.from_numpy(encode(mazes, np.random.default_rng(0)).lists)
    here, there = (
        rollouts(each, each.read(lists.to(each.device)), questions_of(mazes))
        for each in (one, other)
    )
    assert np.array_equal(here, there)


@needs_cuda
@pytest.mark.parametrize("activation", ["topk", "relu", "batch_topk"])
def test_latents_on_cuda(activation):
    x = torch.randn(101, 30, generator=torch.Generator().manual_seed(0))
    one, other = on_both(random_sae(30, 47, activation))
    assert close(one.encode(x), other.encode(x.cuda())) and close(one(x), other(x.cuda()))
