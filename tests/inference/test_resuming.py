"""Lists that are read on from the middle of the model give what reading them under the edit from
the start gives.
"""

import numpy as np
import pytest
import torch
from circuits.planted_circuit import trees
from toys import assert_walks_vary, walk_alone, wanderer

from mazewm.inference.edits import Edit, Taps, add_at
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import questions_of, rollouts
from mazewm.maze.tokens import encode, list_length
from mazewm.model.positions import ENCODINGS
from mazewm.model.sites import Place, Site

MAZES = trees(97)
MAZES = MAZES[np.flatnonzero(MAZES.n_connections == 6)[:17]]
SPELLED = encode(MAZES, np.random.default_rng(0))
LISTS = torch.from_numpy(SPELLED.lists)
AT = torch.randint(list_length(6), (17, 5), generator=torch.Generator().manual_seed(1))
NOISE = 3 * torch.randn(17, 5, 30, generator=torch.Generator().manual_seed(2))


def walks(model, prefix):
    return rollouts(model, prefix, questions_of(MAZES))[:, 0]


@pytest.mark.parametrize(
    ("encoding", "n_layers", "layer"),
    [
        *((encoding, 2, 0) for encoding in ENCODINGS),
        ("learned", 1, 0),
        ("rotary", 3, 0),
        ("alibi", 3, 1),
        ("rotary", 3, 2),
    ],
)
def test_an_edited_list_is_walked_on_as_from_the_start(encoding, n_layers, layer):
    """By the definition: one question at a time, token by token, with the edit in every forward
    pass."""
    model, place = wanderer(encoding, n_layers=n_layers), Place(layer, Site.RESID_POST)
    plain, expected = (
        np.array(
            [
                walk_alone(
                    model,
                    text,
                    [add_at(place, AT[nth : nth + 1], lambda _, nth=nth: NOISE[nth])]
                    if is_edited
                    else (),
                )
                for nth, text in enumerate(SPELLED.prompt)
            ]
        )
        for is_edited in (False, True)
    )
    edit = add_at(place, AT, lambda here: NOISE)
    read = ReadLists.of(model, LISTS.numpy(), {layer})
    kept = {where: value.clone() for where, value in read.resid.items()}
    assert np.array_equal(walks(model, read.edited(edit)), expected)
    assert np.array_equal(walks(model, model.read(LISTS, Taps([edit]))), expected)
    assert np.array_equal(walks(model, read.prefix), plain), "what was read can be used again"
    assert np.array_equal(walks(model, read.edited(Edit(place, torch.clone))), plain)
    assert read.resid.keys() == kept.keys() == {place} and torch.equal(
        read.resid[place], kept[place]
    )
    if n_layers == 2:
        assert_walks_vary(expected, 3, 5)
    # What is written after the last block is read by the position itself alone, and no list token
    # is asked for the next one.
    assert (plain != expected).any(axis=1).mean() > 0.2 or (
        layer == n_layers - 1 and np.array_equal(plain, expected)
    )


def test_several_places_are_edited_from_one_reading():
    model = wanderer("rotary", n_layers=3)
    read = ReadLists.of(model, LISTS.numpy(), {0, 1})
    edits = [add_at(Place(layer, Site.RESID_POST), AT, lambda here: NOISE) for layer in (1, 0, 1)]
    found = [walks(model, read.edited(edit)) for edit in edits]
    for edit, cells in zip(edits, found, strict=True):
        assert np.array_equal(cells, walks(model, model.read(LISTS, Taps([edit]))))
    assert not np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    "place",
    [Place(1, Site.RESID_POST), Place(0, Site.RESID_MID), Place(7, Site.RESID_POST)],
    ids=str,
)
def test_an_edit_of_a_place_that_was_not_kept_is_an_error(place):
    with pytest.raises(KeyError):
        ReadLists.of(wanderer("none"), LISTS.numpy(), {0}).edited(Edit(place, torch.clone))
