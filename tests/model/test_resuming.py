"""Reading on from the middle of the model gives what reading it from the start gives."""

import pytest
import torch
from toys import tiny

from mazewm.interventions.resuming import read_up_to, walk_on
from mazewm.model.edits import Taps, add_at
from mazewm.model.rollout import rollout
from mazewm.model.sites import Place, Site
from mazewm.tokens import PATH_END, Vocabulary

VOCABULARY = Vocabulary(3)
PROMPT = torch.randint(len(VOCABULARY), (97, 41), generator=torch.Generator().manual_seed(0))


def model_of(encoding, n_layers, seed=0):
    model = tiny(encoding, d_vocab=len(VOCABULARY), n_ctx=VOCABULARY.max_length, n_layers=n_layers, seed=seed)
    model.W_U[:, : VOCABULARY.first_cell] = 0  # so that it walks from cell to cell
    model.W_U[:, [PATH_END, 0]] = 0.2 * torch.randn(30, 2, generator=torch.Generator().manual_seed(3))  # and not for ever
    return model


@pytest.mark.parametrize("encoding", ["learned", "rotary", "alibi", "none"])
@pytest.mark.parametrize(("n_layers", "layer"), [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_an_edited_prompt_is_walked_on_as_from_the_start(encoding, n_layers, layer):
    model, place = model_of(encoding, n_layers), Place(layer, Site.RESID_POST)
    at = torch.randint(41, (97, 5), generator=torch.Generator().manual_seed(1))
    at[:, 0] = 40  # after the last block, only the last position is read
    noise = 3 * torch.randn(97, 5, 30, generator=torch.Generator().manual_seed(2))
    edit = add_at(place, at, lambda here: noise)
    plain, edited = rollout(model, PROMPT), rollout(model, PROMPT, Taps([edit]))
    read = read_up_to(model, layer, PROMPT)
    kept = read.resid.clone()
    assert (walk_on(model, read, edit.function(read.resid)) == edited).all()
    assert (walk_on(model, read, read.resid) == plain).all(), "what was read can be used again"
    assert torch.equal(read.resid, kept)
    assert (plain != edited).any(axis=1).mean() > 0.3 and len({tuple(walk) for walk in plain}) > 3


def test_walks_end_and_go_astray_alike():
    model = model_of("learned", 2)
    plain = rollout(model, PROMPT)
    read = read_up_to(model, 0, PROMPT)
    assert (walk_on(model, read, read.resid) == plain).all()
    assert (plain == -2).any() and (plain == -1).any()
