"""Reading and replacing values during a forward pass."""

import pytest
import torch
from toys import tiny, tokens

from mazewm.inference.edits import Edit, Taps, add_at, replace_heads, run
from mazewm.model.positions import ENCODINGS
from mazewm.model.sites import Place, Site

ALL = [Place(layer, site) for layer in range(2) for site in Site]


@pytest.fixture
def model():
    return tiny("rotary")


def test_recording_changes_nothing(model):
    bare = model(tokens(), lambda place, value: value)
    recorded = run(model, tokens(), record=ALL)
    assert torch.equal(recorded.logits, bare)
    assert set(recorded.values) == set(ALL)


def test_what_is_recorded_is_what_was_asked_for(model):
    wanted = {Place(1, Site.Z), Place(0, Site.PATTERN)}
    assert set(run(model, tokens(), record=wanted).values) == wanted


def test_an_edit_that_never_fires_is_an_error(model):
    with pytest.raises(RuntimeError, match="2.z"):
        run(
            model,
            tokens(),
            [Edit(Place(0, Site.Z), torch.clone), Edit(Place(2, Site.Z), torch.clone)],
        )
    with pytest.raises(RuntimeError, match="5.resid_pre"):
        run(model, tokens(), record=[Place(5, Site.RESID_PRE)])


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.parametrize("layer", [0, 1])
def test_patching_a_whole_layer_gives_the_clean_logits_exactly(encoding, layer):
    model, place = tiny(encoding), Place(layer, Site.RESID_POST)
    clean = run(model, tokens(seed=0), record=[place])
    corrupted = run(model, tokens(seed=1))
    patched = run(model, tokens(seed=1), [Edit(place, lambda value: clean.values[place])])
    assert torch.equal(patched.logits, clean.logits)
    assert not torch.allclose(corrupted.logits, clean.logits, atol=1e-2)


@pytest.mark.parametrize("place", ALL, ids=str)
def test_an_edit_changes_nothing_before_it_and_something_after(model, place):
    clean = run(model, tokens(), record=ALL)
    edited = run(
        model,
        tokens(),
        [Edit(place, lambda value: value * torch.linspace(0, 2, value.shape[-1]))],
        record=ALL,
    )
    at = ALL.index(place)
    # Queries, keys and values do not depend on one another, nor does the pattern on the values.
    for before in ALL[:at]:
        assert torch.equal(edited.values[before], clean.values[before]), before
    assert not torch.equal(edited.values[place], clean.values[place])
    assert not torch.equal(edited.logits, clean.logits)


@pytest.mark.parametrize("place", ALL, ids=str)
def test_an_edit_fires_whether_or_not_anything_is_recorded(model, place):
    """Scores and patterns exist only where attention is spelled out, which an edit there must bring
    about."""
    edit = Edit(place, lambda value: value * torch.linspace(0, 2, value.shape[-1]))
    assert torch.allclose(
        run(model, tokens(), [edit]).logits,
        run(model, tokens(), [edit], ALL).logits,
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("place", ALL, ids=str)
def test_a_place_holds_the_same_whatever_else_is_recorded(model, place):
    alone, among = (
        run(model, tokens(), record=[place]).values[place],
        run(model, tokens(), record=ALL).values[place],
    )
    assert torch.allclose(alone, among, rtol=0, atol=1e-5)


def test_edits_come_in_their_order_and_before_the_recording(model):
    place = Place(0, Site.RESID_MID)
    double, add = Edit(place, lambda value: value * 2), Edit(place, lambda value: value + 3)
    clean = run(model, tokens(), record=[place]).values[place]
    assert torch.equal(run(model, tokens(), [double, add], [place]).values[place], clean * 2 + 3)
    assert torch.equal(run(model, tokens(), [add, double], [place]).values[place], (clean + 3) * 2)


def test_a_tap_can_be_checked_only_once_it_has_seen_its_places(model):
    taps = Taps(record=[Place(1, Site.V)])
    with pytest.raises(RuntimeError, match="1.v"):
        taps.check()
    model(tokens(), taps)
    taps.check()


def head_values(n_mazes=5):
    return torch.randn(n_mazes, 3, 17, 10, generator=torch.Generator().manual_seed(2))


POSITIONS = torch.tensor([[1, 5], [2, 3], [0, 16], [7, 8], [11, 13]])


def test_replace_heads_touches_what_it_says_and_nothing_else():
    before = head_values()
    kept = before.clone()
    values = torch.randn(5, 2, 2, 10, generator=torch.Generator().manual_seed(3))
    after = replace_heads(Place(0, Site.Z), [2, 0], POSITIONS, values).function(before)
    expected = kept.clone()
    for maze in range(5):
        for nth_head, head in enumerate([2, 0]):
            for nth, position in enumerate(POSITIONS[maze]):
                expected[maze, head, position] = values[maze, nth_head, nth]
    assert torch.equal(after, expected)
    assert torch.equal(before, kept)


def test_replace_heads_broadcasts_a_mean():
    before, mean = head_values(), torch.arange(10.0).reshape(1, 1, 1, 10)
    after = replace_heads(Place(0, Site.Z), [1], POSITIONS, mean).function(before)
    changed = (after != before).any(dim=-1)
    assert changed.sum() == 10
    assert not changed[:, [0, 2]].any()
    for maze in range(5):
        assert torch.equal(after[maze, 1, POSITIONS[maze]], mean.flatten().expand(2, 10))


def test_add_at_touches_what_it_says_and_nothing_else():
    before = torch.randn(5, 17, 30, generator=torch.Generator().manual_seed(2))
    kept, direction = before.clone(), torch.randn(5, 30, generator=torch.Generator().manual_seed(3))
    after = add_at(Place(0, Site.RESID_POST), POSITIONS, lambda here: direction[:, None]).function(
        before
    )
    expected = kept.clone()
    for maze in range(5):
        for position in POSITIONS[maze]:
            expected[maze, position] += direction[maze]
    assert torch.equal(after, expected)
    assert torch.equal(before, kept)


def test_add_at_is_told_the_values_at_its_positions_and_writes_one_named_twice_once():
    before = torch.randn(5, 17, 30, generator=torch.Generator().manual_seed(2))
    twice = torch.cat([POSITIONS, POSITIONS[:, :1]], dim=1)
    after = add_at(Place(0, Site.RESID_POST), twice, lambda here: 2 * here).function(before)
    assert torch.equal(after[0, POSITIONS[0]], 3 * before[0, POSITIONS[0]])
    assert (after != before).any(dim=2).sum() == POSITIONS.numel()


def test_edits_at_later_positions_leave_earlier_logits(model):
    at = torch.full((5, 1), 9)
    edit = add_at(Place(0, Site.RESID_POST), at, lambda here: torch.ones(5, 1, 30).cumsum(dim=2))
    clean, edited = run(model, tokens()).logits, run(model, tokens(), [edit]).logits
    assert torch.equal(edited[:, :9], clean[:, :9])
    assert (edited[:, 9:] - clean[:, 9:]).abs().amax(dim=(0, 2)).min() > 0
