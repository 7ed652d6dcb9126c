"""Two runs side by side, against ordinary forward passes."""

import numpy as np
import pytest
import torch
from circuits.planted_circuit import trees
from toys import wanderer

from mazewm.circuits.streams import Streams
from mazewm.maze.tokens import SPECIALS, encode
from mazewm.model.positions import ENCODINGS
from mazewm.model.taps import Tap

MAZES = trees(97)
MAZES = MAZES[np.flatnonzero(MAZES.n_connections == 8)[:9]]
TOKENS = torch.from_numpy(encode(MAZES, np.random.default_rng(0)).prompt)
AT = 13  # c1 of the fourth connection


def with_other_cell() -> torch.Tensor:
    changed = TOKENS.clone()
    changed[:, AT] = len(SPECIALS) + (changed[:, AT] - len(SPECIALS) + 4) % 9
    return changed


CHANGED = with_other_cell()


def resid(model, tokens: torch.Tensor, tap: Tap | None = None) -> torch.Tensor:
    with torch.inference_mode():
        reading = model.reading(model_layout(tokens), tap)
        return model.run_blocks(model.embed(tokens), reading)


def model_layout(tokens: torch.Tensor):
    from mazewm.model.reading import Layout

    return Layout.sequence(tokens.shape[1], tokens.device)


def streams_of(model, since: int = 0) -> Streams:
    layers = range(len(model.layers))
    return Streams(model, model.embed(TOKENS), model.embed(CHANGED), layers, since)


def always(value: bool, shape=(1, 1, 1, 1)):
    return lambda layer: torch.full(shape, value)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("since", [0, AT])
def test_all_open_is_the_changed_run_and_all_closed_the_clean_one(encoding, since):
    model = wanderer(encoding)
    streams = streams_of(model, since)
    clean, changed = resid(model, TOKENS), resid(model, CHANGED)
    assert not torch.allclose(clean[:, -1], changed[:, -1], atol=1e-3)
    opened, closed = (streams.run(always(value)) for value in (True, False))
    assert torch.allclose(opened, changed[:, since:], atol=1e-4)
    others = torch.arange(since, TOKENS.shape[1]) != AT
    assert torch.allclose(closed[:, others], clean[:, since:][:, others], atol=1e-4)
    assert not torch.allclose(closed[:, AT - since], clean[:, AT], atol=1e-3)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_one_path_is_what_it_says(encoding):
    """Through head 1 of block 1 the last token reads the changed cell, and nothing else does: as
    if this head alone were computed anew, with the key and value of that cell."""
    model = wanderer(encoding)
    last = TOKENS.shape[1] - 1

    def is_open(layer: int) -> torch.Tensor:
        opened = torch.zeros(1, model.params.n_heads, last + 1, last + 1, dtype=torch.bool)
        opened[:, 1, last, AT] = layer == 1
        return opened

    found = streams_of(model).run(is_open)
    untouched = torch.arange(last + 1) != last
    untouched[AT] = False
    clean = resid(model, TOKENS)
    assert torch.allclose(found[:, untouched], clean[:, untouched], atol=1e-4)
    assert not torch.allclose(found[:, last], clean[:, last], atol=1e-4)
    # the same by hand: the cell's own stream is changed in place, and read by that head only
    alone = streams_of(model).run(always(False))
    assert torch.allclose(found[:, AT], alone[:, AT], atol=1e-4)
    every_head = streams_of(model).run(lambda layer: is_open(layer).any(dim=1, keepdim=True))
    assert not torch.allclose(found[:, last], every_head[:, last], atol=1e-4)


def test_a_change_after_a_block_begins_there():
    model = wanderer("rotary")
    after = []

    def record(place, value):
        if place.layer == 0 and str(place.site) == "resid_post":
            after.append(value)
        return value

    clean, changed = resid(model, TOKENS, record), resid(model, CHANGED, record)
    streams = Streams(model, after[0], after[1], range(1, len(model.layers)))
    assert torch.allclose(streams.run(always(True)), changed, atol=1e-4)
    nothing = Streams(model, after[0], after[0], range(1, len(model.layers)))
    assert torch.allclose(nothing.run(always(False)), clean, atol=1e-4)
