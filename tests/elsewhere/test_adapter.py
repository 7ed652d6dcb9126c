"""A model that shows only its residual stream gives the same results as one that is known."""

import numpy as np
import pytest
import torch
from elsewhere.outside import Outside, backwards
from toys import assert_walks_vary, looks_two_back, tiny, wanderer

from mazewm.datasets import draw
from mazewm.elsewhere.adapter import SITES, Elsewhere, their_ids
from mazewm.elsewhere.residual import ByHook
from mazewm.inference.asking import beliefs, every_question, of_one_size
from mazewm.inference.behaviour import behave
from mazewm.inference.edits import Edit, Taps, add_at, run
from mazewm.inference.posed import Posed
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import rollouts
from mazewm.inference.subject import Subject
from mazewm.io.errors import BadInput
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import PADDING, Asking, Vocabulary, encode, encoding_rng
from mazewm.model.positions import ENCODINGS
from mazewm.model.sites import Place, Site

CLOSE = 1e-4
FAMILY = draw.FamilyParams(generator="dfs", size=3, min_cells=6, max_cells=6, share=1.0)
MAZES = draw.draw(np.random.default_rng(0), lattice(3), "trees", FAMILY, 8)


@pytest.fixture(params=ENCODINGS)
def both(request):
    """A known transformer, and the same seen from outside, with its tokens in another order."""
    known = wanderer(request.param, n_layers=3)
    return known, backwards(known, 3)[0]


def near(one, other):
    """Equal up to rounding, and not all alike."""
    assert one.shape == other.shape and float(one.std()) > 0
    assert float((one - other).abs().max()) < CLOSE * float(one.std())


def test_logits_and_recorded_streams_are_the_same(both):
    tokens = torch.from_numpy(encode(MAZES, encoding_rng(0)).tokens)
    places = [Place(layer, site) for layer in range(3) for site in SITES]
    ours, theirs = (run(model, tokens, record=places) for model in both)
    near(ours.logits[..., 1:], theirs.logits[..., 1:])
    near(ours.logits.softmax(-1)[..., PADDING], theirs.logits.softmax(-1)[..., PADDING])
    for place in places:
        near(ours.values[place], theirs.values[place])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_rollouts_behind_lists_are_the_same(encoding):
    found, known = [], wanderer(encoding)
    for model in (known, backwards(known, 3)[0]):
        lists = torch.from_numpy(encode(MAZES, encoding_rng(0)).lists)
        found.append(rollouts(model, model.read(lists), every_question(MAZES)))
    assert np.array_equal(*found)
    assert_walks_vary(found[0])


def test_beliefs_are_the_same(both):
    some = MAZES[next(of_one_size(MAZES))]
    lists = torch.from_numpy(encode(some, encoding_rng(0)).lists)
    ours, theirs = (beliefs(model, model.read(lists), some) for model in both)
    assert ours.belief.std() > 0 and np.allclose(ours.belief, theirs.belief, atol=CLOSE)


@pytest.mark.parametrize("layer", [0, 1])
def test_answers_after_an_edit_of_the_list_are_the_same(both, layer):
    """The edit at a few tokens of the list, and a push at a token of the question."""
    questions, lists = every_question(MAZES), encode(MAZES, encoding_rng(0)).lists
    rng = torch.Generator().manual_seed(1)
    arrow = 3 * torch.randn(len(MAZES), 1, 30, generator=rng)
    push = {Asking.TARGET_END: torch.randn(len(MAZES), 30, generator=rng)}
    at = torch.tensor([[3, 7, 9]]).repeat(len(MAZES), 1)
    edit = add_at(Place(layer, Site.RESID_POST), at, lambda here: arrow)
    found, plain = [], []
    for model in both:
        read = ReadLists.of(model, lists, {0, 1})
        posed = Posed.of(read, questions, {0, 1})
        plain.append(posed.compare(read.prefix, layer))
        found.append(posed.compare(read.edited(edit), layer, push))
    for ours, theirs in (plain, found):
        for name in ("agrees", "n_right", "instead", "is_straight"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name
        assert np.allclose(ours.straight, theirs.straight, atol=CLOSE)
    assert (plain[0].instead != found[0].instead).any(), "the edit has an effect"


def test_edits_at_all_tokens_of_prompt_and_rollout_are_the_same(both):
    """As an SAE is spliced in."""
    place = Place(1, Site.RESID_POST)
    taps = [Taps([Edit(place, lambda value: value.roll(1, dims=-1))]) for _ in both]
    subjects = [Subject(model, MAZES, 0, 5) for model in both]
    ours, theirs = (behave(each, tap).cells for each, tap in zip(subjects, taps, strict=True))
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(ours, behave(subjects[0]).cells)


def test_further_tokens_count_as_padding():
    known = tiny("none", d_vocab=22, n_ctx=60)
    order = [21, *range(20), 20]
    names = ["<OTHER>", *Vocabulary(3).names, "<MORE>"]
    names[order.index(0)] = "<PADDING>"
    model = Elsewhere(ByHook(Outside(known, order)), 3, names)
    tokens = torch.randint(1, 20, (4, 9), generator=torch.Generator().manual_seed(0))
    ours, theirs = known(tokens).softmax(-1), model(tokens).softmax(-1)
    near(ours[..., 1:20], theirs[..., 1:])
    near(ours[..., [0, 20, 21]].sum(-1), theirs[..., 0])


def test_the_control_is_another_model_of_the_same_shape(both):
    known, model = both
    tokens = torch.from_numpy(encode(MAZES, encoding_rng(0)).prompt)
    ours, theirs = known.untrained(3)(tokens), model.untrained(3)(tokens)
    near(ours[..., 1:], theirs[..., 1:])
    assert float((model(tokens)[..., 1:] - theirs[..., 1:]).abs().max()) > 0.1


def test_places_inside_a_block_are_refused_in_one_sentence(both):
    with pytest.raises(BadInput, match=r"^0\.z: expected one of the sites \['resid_post', .*\.$"):
        run(both[1], torch.zeros(1, 5, dtype=torch.long), record=[Place(0, Site.Z)])
    with pytest.raises(BadInput, match=r"^model: expected a transformer whose attention heads"):
        Subject(both[1], MAZES, 0, 5).transformer  # noqa: B018
    assert Subject(both[0], MAZES, 0, 5).transformer is both[0]


NAMES = list(Vocabulary(3).names)


@pytest.mark.parametrize(
    ("d_vocab", "names", "says"),
    [
        (21, None, r"model: expected 20 tokens, as mazes on a 3x3 lattice have, found 21"),
        (21, NAMES, r"names: expected the texts of 21 tokens, found 20\."),
        (20, [*NAMES[:-1], "x"], r"names: expected the token '\(2,2\)' once, found it 0 times"),
        (21, [*NAMES, ";"], r"names: expected the token ';' once, found it 2 times"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(d_vocab, names, says):
    with pytest.raises(BadInput, match=says):
        their_ids(Vocabulary(3), d_vocab, names)


def test_padding_need_not_be_there():
    assert their_ids(Vocabulary(3), 19, NAMES[1:]) == [0, *range(19)]


class Broken(Outside):
    """Breaks one promise."""

    def __init__(self, how):
        super().__init__(wanderer("learned"), list(range(20)))
        self.how = how

    def logits(self, tokens, at_depth):
        if self.how == "twice":
            return super().logits(tokens, lambda d, r: at_depth(0, at_depth(d, r)))
        if self.how == "later":
            tokens = tokens.flip(1)
        if self.how == "mixed":
            return super().logits(tokens, lambda d, r: at_depth(d, r if d else r.cumsum(dim=1)))
        found = super().logits(tokens, at_depth)
        if self.how == "past":
            return found + self.model.W_E[tokens] @ self.model.W_U
        return found[..., :-1] if self.how == "narrow" else found


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("twice", r"one call of at_depth with each depth from 0 to 2, found calls with \[0, 0, 1"),
        ("later", r"expected a causal one"),
        ("mixed", r"an embedding that depends on a token and its position alone"),
        ("past", r"through the residual stream alone, found others when the stream at depth 0"),
        ("narrow", r"expected logits of shape \(4, 8, 20\), found \(4, 8, 19\)"),
    ],
)
def test_a_model_that_breaks_a_promise_is_refused(how, says):
    with pytest.raises(BadInput, match=says):
        ByHook(Broken(how))


def test_an_object_without_a_member_is_refused():
    with pytest.raises(BadInput, match=r"found a object without 'n_layers'\.$"):
        ByHook(object())


def test_one_layer_is_enough():
    known = looks_two_back(3)
    model = backwards(known, 3)[0]
    lists = torch.from_numpy(encode(MAZES, encoding_rng(0)).lists)
    assert len(model.read(lists)) == lists.shape[1]
    ours, theirs = (rollouts(m, m.read(lists), every_question(MAZES)) for m in (known, model))
    assert np.array_equal(ours, theirs)
