"""What sets the positional encodings apart."""

import pytest
import torch
from toys import tiny, tokens

from mazewm.model.positions import ENCODINGS, Alibi, Learned, NoPositions, Rotary, Sinusoidal
from mazewm.model.sites import Site


def values_at(model, ids, site):
    """What a site of layer 0 holds."""
    values = {}
    model(ids, lambda place, value: values.setdefault(place, value))
    return next(value for place, value in values.items() if place.layer == 0 and place.site == site)


def scores(encoding, query_at, key_at):
    """Attention scores, bias included, of one random query and key at given positions."""
    attached = ENCODINGS[encoding](103, 20, 2)
    q, k = torch.randn(2, 1, 2, 1, 10, generator=torch.Generator().manual_seed(0)).unbind()
    query, key = torch.tensor([query_at]), torch.tensor([key_at])
    score = (attached.on_qk(q, query) * attached.on_qk(k, key)).sum(dim=-1)[0, :, 0]
    bias = attached.on_scores(query, key)
    return score if bias is None else score + bias[:, 0, 0]


@pytest.mark.parametrize("encoding", ["rotary", "alibi", "none"])
def test_scores_depend_on_the_offset_only(encoding):
    reference = scores(encoding, 11, 4)
    for shift in (-4, 13, 89):
        assert torch.allclose(scores(encoding, 11 + shift, 4 + shift), reference, rtol=0, atol=1e-5)


@pytest.mark.parametrize("encoding", ["rotary", "alibi"])
def test_scores_do_depend_on_the_offset(encoding):
    assert (scores(encoding, 11, 4) - scores(encoding, 11, 5)).abs().min() > 1e-3


def test_rotary_keeps_lengths_and_leaves_position_0():
    rotary = Rotary(53, 20, 2)
    q = torch.randn(3, 2, 53, 10, generator=torch.Generator().manual_seed(0))
    turned = rotary.on_qk(q, torch.arange(53))
    assert torch.allclose(turned.norm(dim=-1), q.norm(dim=-1), atol=1e-5)
    assert torch.equal(turned[:, :, 0], q[:, :, 0])


def test_rotary_turns_by_the_papers_angles():
    """A one in the first dimension of a plane comes to (cos, sin) of position / 10000^(2i / d), d
    being half of d_head."""
    for d_head, n_turned in ((20, 10), (10, 4)):
        rotary = Rotary(53, 2 * d_head, 2)
        for plane in range(n_turned // 2):
            unit = torch.zeros(1, 2, 1, d_head)
            unit[..., plane] = 1.0
            turned = rotary.on_qk(unit, torch.tensor([7]))[0, 0, 0]
            angle = torch.tensor(7 / 10_000 ** (2 * plane / n_turned))
            assert torch.allclose(turned[plane], angle.cos(), atol=1e-6)
            assert torch.allclose(turned[plane + n_turned // 2], angle.sin(), atol=1e-6)


def test_rotary_leaves_half_of_the_dimensions():
    q = torch.randn(3, 2, 53, 20, generator=torch.Generator().manual_seed(0))
    turned = Rotary(53, 40, 2).on_qk(q, torch.arange(53))
    assert torch.equal(turned[..., 10:], q[..., 10:])
    assert (turned[:, :, 1:, :10] != q[:, :, 1:, :10]).all(dim=-1).float().mean() > 0.9


def test_alibi_has_the_papers_slopes():
    assert Alibi(53, 16, 8).slopes.tolist() == [
        1 / 2,
        1 / 4,
        1 / 8,
        1 / 16,
        1 / 32,
        1 / 64,
        1 / 128,
        1 / 256,
    ]
    assert Alibi(53, 16, 4).slopes.tolist() == [1 / 4, 1 / 16, 1 / 64, 1 / 256]


def test_alibi_penalises_distance_linearly():
    bias = Alibi(53, 16, 4).on_scores(torch.arange(7), torch.arange(7))
    assert bias.shape == (4, 7, 7)
    assert bias[1, 6].tolist() == [-(6 - key) / 16 for key in range(7)]
    assert (bias[:, 6].diff(dim=-1) > 0).all()


def test_without_positions_the_order_of_earlier_tokens_is_not_seen():
    ids = tokens()
    mixed = ids.clone()
    mixed[:, :16] = ids[:, torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    for encoding in ENCODINGS:
        model = tiny(encoding, n_layers=1)
        apart = (model(ids)[:, -1] - model(mixed)[:, -1]).abs().max()
        assert (apart < 1e-5) == (encoding == "none"), encoding


def test_absolute_encodings_tell_equal_tokens_apart():
    same = torch.full((1, 7), 3)
    for encoding in ENCODINGS:
        at_start = values_at(tiny(encoding), same, Site.RESID_PRE)[0]
        apart = torch.pdist(at_start).min()
        assert (apart > 1e-3) == (encoding in ("learned", "sinusoidal")), encoding


def test_learned_and_sinusoidal_add_their_own_tables():
    positions, nothing = torch.tensor([0, 1, 5]), torch.zeros(1, 3, 6)
    torch.manual_seed(0)
    learned, sinusoidal = Learned(7, 6, 1), Sinusoidal(7, 6, 1)
    assert torch.equal(learned.on_embed(nothing, positions)[0], learned.W_pos[positions])
    added = sinusoidal.on_embed(nothing, positions)[0]
    unit = added[0, 1].item()
    assert added[0].tolist() == [0.0, unit, 0.0, unit, 0.0, unit]
    angle = torch.tensor(5 / 10_000 ** (2 / 6))
    assert added[2, 2:4].tolist() == pytest.approx(
        [angle.sin().item() * unit, angle.cos().item() * unit]
    )
    assert not torch.allclose(added, learned.on_embed(nothing, positions)[0], atol=1e-3)


def test_the_fixed_table_has_the_scale_of_a_new_embedding():
    assert Sinusoidal(503, 30, 1).W_pos.pow(2).mean().sqrt() == pytest.approx(0.02, rel=1e-5)


def test_only_learned_positions_are_trained():
    for encoding, cls in ENCODINGS.items():
        assert [name for name, _ in cls(7, 12, 2).named_parameters()] == (
            ["W_pos"] if encoding == "learned" else []
        )
        assert isinstance(cls(7, 12, 2), NoPositions)
