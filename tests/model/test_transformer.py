"""Laws of the forward pass, for every positional encoding."""

import pytest
import torch
from toys import tiny, tokens

from mazewm.io import weights
from mazewm.io.errors import BadInput
from mazewm.io.params import check
from mazewm.model.positions import ENCODINGS
from mazewm.model.reading import SHARED, Layout
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer, TransformerParams

every_encoding = pytest.mark.parametrize("encoding", list(ENCODINGS))


def untouched(place, value):
    return value


def close(a, b):
    return torch.allclose(a, b, rtol=0, atol=1e-5)


def test_the_five_encodings():
    assert set(ENCODINGS) == {"learned", "sinusoidal", "rotary", "alibi", "none"}


@every_encoding
def test_tapped_attention_equals_fused_attention(encoding):
    model = tiny(encoding)
    fused, explicit = model(tokens()), model(tokens(), untouched)
    assert fused.shape == (5, 17, 19)
    assert close(fused, explicit)
    assert fused.std() > 0.1


@every_encoding
@pytest.mark.parametrize("tap", [None, untouched], ids=["fused", "tapped"])
def test_a_token_changes_no_earlier_logits(encoding, tap):
    model, before = tiny(encoding), tokens()
    for t in (1, 7, 16):
        after = before.clone()
        after[:, t] = (after[:, t] + 1) % 19
        a, b = model(before, tap), model(after, tap)
        assert close(a[:, :t], b[:, :t])
        assert (a[:, t:] - b[:, t:]).abs().amax(dim=(0, 2)).min() > 1e-4


CPU = torch.device("cpu")


@every_encoding
@pytest.mark.parametrize("tap", [None, untouched], ids=["fused", "tapped"])
@pytest.mark.parametrize("n", [1, 5, 16])
def test_what_is_asked_behind_a_beginning_is_read_as_in_one_text(encoding, tap, n):
    model = tiny(encoding)
    prefix = model.read(tokens()[:, :n], tap)
    assert len(prefix) == n and len(prefix.keys) == len(prefix.values) == 2
    expected = model(tokens())[:, n:]
    for _ in range(2):  # a beginning serves any number of questions
        assert close(
            model.ask(prefix, tokens()[:, n:], Layout.questions(n, [(1, 17 - n)], CPU), tap),
            expected,
        )
    some = torch.tensor([3, 0, 3])
    assert close(
        model.ask(
            prefix.of(some), tokens()[some, n:], Layout.questions(n, [(1, 17 - n)], CPU), tap
        ),
        expected[some],
    )


@every_encoding
def test_a_beginning_is_kept_as_its_keys_and_values(encoding):
    model, values = tiny(encoding), {}
    kept = model.read(tokens())
    model(tokens(), lambda place, value: values.setdefault(place, value))
    for layer in range(2):
        assert close(kept.keys[layer], values[Place(layer, Site.K)]) and close(
            kept.values[layer], values[Place(layer, Site.V)]
        )
    assert (
        len(kept.up_to(1).keys) == len(kept.up_to(1).values) == 1
        and kept.up_to(1).keys[0] is kept.keys[0]
    )


@every_encoding
@pytest.mark.parametrize("tap", [None, untouched], ids=["fused", "tapped"])
@pytest.mark.parametrize("since", [1, 9, 16])
def test_the_logits_that_are_asked_for_do_not_depend_on_the_others(encoding, tap, since):
    model, layout = tiny(encoding), Layout.sequence(9, CPU) + Layout.questions(9, [(2, 4)], CPU)
    for how in (None, layout):
        whole, part = model(tokens(), tap, how), model(tokens(), tap, how, since)
        assert part.shape == (5, 17 - since, 19)
        assert torch.allclose(whole[:, since:], part, rtol=0, atol=2e-6)


# five tokens of a list; two questions of four tokens, one of three, three of one
N_LIST, BLOCKS = (
    5,
    [(2, 4), (1, 3), (3, 1)],
)
BEHIND = Layout.questions(N_LIST, BLOCKS, CPU)
LAYOUT = Layout.sequence(N_LIST, CPU) + BEHIND
ROW = tokens(5, len(LAYOUT))


def test_the_positions_of_questions_follow_the_list():
    assert BEHIND.position.tolist() == [5, 6, 7, 8, 5, 6, 7, 8, 5, 6, 7, 5, 5, 5]
    assert BEHIND.question.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5]
    assert LAYOUT.position.tolist() == [0, 1, 2, 3, 4, *BEHIND.position.tolist()]
    assert (LAYOUT.question[:N_LIST] == SHARED).all() and torch.equal(
        LAYOUT.question[N_LIST:], BEHIND.question
    )
    assert len(LAYOUT) == 19 and len(Layout.sequence(7, CPU)) == 7


@every_encoding
@pytest.mark.parametrize("tap", [None, untouched], ids=["fused", "tapped"])
def test_each_question_is_read_as_if_it_stood_alone_behind_the_list(encoding, tap):
    """In one row with the list, and behind a list that was read before."""
    model = tiny(encoding)
    together = model(ROW, tap, LAYOUT)
    behind = model.ask(model.read(ROW[:, :N_LIST]), ROW[:, N_LIST:], BEHIND, tap)
    assert close(together[:, :N_LIST], model(ROW[:, :N_LIST]))
    for question in range(6):
        at = torch.nonzero(BEHIND.question == question)[:, 0]
        alone = model(torch.cat([ROW[:, :N_LIST], ROW[:, N_LIST + at]], dim=1))[:, N_LIST:]
        assert close(together[:, N_LIST + at], alone) and close(behind[:, at], alone)


@every_encoding
@pytest.mark.parametrize("tap", [None, untouched], ids=["fused", "tapped"])
def test_questions_do_not_see_each_other(encoding, tap):
    model, before = tiny(encoding), ROW
    clean = model(before, tap, LAYOUT)
    for question in range(6):
        own = LAYOUT.question == question
        after = torch.where(own, (before + 1) % 19, before)
        changed = (model(after, tap, LAYOUT) - clean).abs().amax(dim=(0, 2))
        assert changed[~own].max() < 1e-6
        assert changed[own].min() > 1e-3
    after = before.clone()
    after[:, 0] = (after[:, 0] + 1) % 19
    assert (model(after, tap, LAYOUT) - clean).abs().amax(dim=(0, 2)).min() > 1e-4, (
        "all see the list"
    )


def test_every_site_is_tapped_once_per_layer_in_order():
    seen = []
    tiny("rotary", n_layers=3)(tokens(), lambda place, value: (seen.append(place), value)[1])
    assert sorted(seen) == sorted(Place(layer, site) for layer in range(3) for site in Site)
    assert seen == [Place(layer, site) for layer in range(3) for site in Site]


@every_encoding
def test_a_tap_that_stays_outside_attention_leaves_it_fused(encoding):
    class Outside:
        inside_attention = False

        def __init__(self):
            self.seen = []

        def __call__(self, place, value):
            self.seen.append(place.site)
            return value

    model, tap = tiny(encoding, n_layers=1), Outside()
    assert torch.equal(model(tokens(), tap), model(tokens()))
    assert tap.seen == [site for site in Site if site not in (Site.SCORES, Site.PATTERN)]


def test_the_shapes_at_the_sites():
    shapes = {}
    tiny("alibi")(
        tokens(),
        lambda place, value: (shapes.__setitem__(place.site, tuple(value.shape)), value)[1],
    )
    resid, head, square, mlp = (5, 17, 30), (5, 3, 17, 10), (5, 3, 17, 17), (5, 17, 37)
    assert [shapes[site] for site in (Site.Q, Site.K, Site.V, Site.Z)] == [head] * 4
    assert [shapes[site] for site in (Site.SCORES, Site.PATTERN)] == [square] * 2
    assert [shapes[site] for site in (Site.MLP_PRE, Site.MLP_POST)] == [mlp] * 2
    streams = (Site.RESID_PRE, Site.ATTN_OUT, Site.RESID_MID, Site.MLP_OUT, Site.RESID_POST)
    assert [shapes[site] for site in streams] == [resid] * 5


@every_encoding
def test_what_the_sites_say_adds_up(encoding):
    model, values = tiny(encoding), {}
    model(tokens(), lambda place, value: values.setdefault(place, value))
    for layer in range(2):
        at = {site: values[Place(layer, site)] for site in Site}
        attn = model.blocks[layer].attn
        assert close(at[Site.PATTERN].sum(dim=-1), torch.ones(5, 3, 17))
        assert at[Site.PATTERN].triu(diagonal=1).abs().max() == 0
        assert close(at[Site.PATTERN] @ at[Site.V], at[Site.Z])
        # Per-head results add up to what attention writes.
        assert close(
            torch.einsum("bhpd,hdm->bpm", at[Site.Z], attn.W_O) + attn.b_O, at[Site.ATTN_OUT]
        )
        normed = model.blocks[layer].norm1(at[Site.RESID_PRE])
        assert close(torch.einsum("bpm,hmd->bhpd", normed, attn.W_V), at[Site.V])
        assert close(at[Site.RESID_PRE] + at[Site.ATTN_OUT], at[Site.RESID_MID])
        assert torch.equal(at[Site.MLP_PRE].relu(), at[Site.MLP_POST])
        assert close(at[Site.RESID_MID] + at[Site.MLP_OUT], at[Site.RESID_POST])
    assert torch.equal(values[Place(0, Site.RESID_POST)], values[Place(1, Site.RESID_PRE)])


@pytest.mark.parametrize("site", list(Site))
def test_what_a_tap_returns_is_what_flows_on(site):
    model, clean = tiny("learned"), tiny("learned")(tokens())
    edited = model(
        tokens(),
        lambda place, value: (
            value * torch.linspace(0, 2, value.shape[-1]) if place == Place(0, site) else value
        ),
    )
    assert (edited - clean).abs().max() > 1e-4


def test_silenced_blocks_add_nothing():
    model, values = tiny("learned"), {}
    model.silence()
    model(tokens(), lambda place, value: values.setdefault(place, value))
    assert torch.equal(values[Place(0, Site.RESID_PRE)], values[Place(1, Site.RESID_POST)])


@every_encoding
def test_weights_round_trip(encoding, tmp_path):
    model, path = tiny(encoding), tmp_path / "t.safetensors"
    model.save(path)
    back = Transformer.load(path)
    assert torch.equal(back(tokens()), model(tokens()))
    assert (back.encoding_name, back.params, back.d_vocab, back.n_ctx) == (
        encoding,
        model.params,
        19,
        23,
    )
    assert not any(p.requires_grad for p in back.parameters())


def test_the_same_weights_are_the_same_bytes(tmp_path):
    """Eleven times: an order drawn at random, as of a hash map, would differ in some of them."""
    path, seen = tmp_path / "t.safetensors", set()
    for _ in range(11):
        tiny("rotary").save(path)
        seen.add(path.read_bytes())
    assert len(seen) == 1


def refusal(path):
    with pytest.raises(BadInput) as caught:
        Transformer.load(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_weights_that_are_missing_truncated_or_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "t.safetensors"
    assert "missing" in refusal(path)
    tiny("learned").save(path)
    whole = path.read_bytes()
    for size in (0, 5, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "not a whole safetensors file" in refusal(path)
    weights.save(path, "sparse autoencoder", {}, torch.nn.Linear(2, 3))
    assert "found those of a sparse autoencoder" in refusal(path)


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path):
    path, model = tmp_path / "t.safetensors", tiny("learned")
    config = {
        "params": model.params.model_dump(),
        "encoding": "learned",
        "d_vocab": 19,
        "n_ctx": 29,
    }
    weights.save(path, "transformer", config, model)
    assert "do not fit" in refusal(path)
    weights.save(path, "transformer", config | {"params": {"n_layers": 2}}, model)
    assert "missing" in refusal(path)
    weights.save(path, "transformer", config | {"encoding": "spiral"}, model)
    refusal(path)


def test_architectures_that_cannot_be_built_are_refused():
    with pytest.raises(BadInput, match="at least 4"):
        Transformer(TransformerParams(n_layers=1, d_model=15, n_heads=5, d_mlp=7), "rotary", 19, 23)
    with pytest.raises(BadInput, match="even d_model"):
        Transformer(
            TransformerParams(n_layers=1, d_model=15, n_heads=3, d_mlp=7), "sinusoidal", 19, 23
        )
    with pytest.raises(BadInput, match="'spiral'"):
        Transformer(TransformerParams(n_layers=1, d_model=10, n_heads=1, d_mlp=7), "spiral", 19, 23)
    with pytest.raises(BadInput, match="multiple of n_heads"):
        check(
            TransformerParams,
            {"n_layers": 1, "d_model": 10, "n_heads": 3, "d_mlp": 7},
            "params.yaml: transformer",
        )


@pytest.mark.parametrize("text", ["2.resid_post", "0.attic", "resid_post", "-1.z", "x.z", ""])
def test_places_that_do_not_exist_are_refused(text):
    with pytest.raises(BadInput, match="params.yaml: places"):
        Place.parse(text, 2, "params.yaml: places")


def test_places_are_read_as_they_are_written():
    for place in (Place(0, Site.RESID_POST), Place(1, Site.Z)):
        assert Place.parse(str(place), 2, "here") == place
    assert str(Place(1, Site.RESID_MID)) == "1.resid_mid"
