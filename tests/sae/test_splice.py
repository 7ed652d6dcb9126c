"""The SAE in the forward pass: what it loses is lost, unless only the latents' change is added."""

import torch
from planted import random_sae
from toys import tiny, tokens

from mazewm.model.edits import run
from mazewm.model.sites import Place, Site
from mazewm.sae.splice import edited_latents, reconstruction

PLACE = Place(0, Site.RESID_POST)
MODEL, TOKENS = tiny("learned"), tokens()
SAE = random_sae(30, 53)
POSITIONS = torch.tensor([[0, 16], [3, 5], [7, 2], [11, 12], [16, 1]])
CLEAN = run(MODEL, TOKENS, record=[PLACE])


def here(values, positions=POSITIONS):
    return values[torch.arange(len(values))[:, None], positions]


def test_latents_left_alone_leave_the_model_alone():
    spliced = run(MODEL, TOKENS, [edited_latents(PLACE, SAE, POSITIONS, lambda z: z)], [PLACE])
    assert torch.equal(spliced.values[PLACE], CLEAN.values[PLACE])
    assert torch.equal(spliced.logits, CLEAN.logits)


def test_a_reconstruction_does_not():
    spliced = run(MODEL, TOKENS, [reconstruction(PLACE, SAE)], [PLACE])
    assert torch.equal(spliced.values[PLACE], SAE(CLEAN.values[PLACE]))
    assert (spliced.logits - CLEAN.logits).abs().max() > 0.1


def test_only_the_given_positions_are_edited_and_the_error_stays():
    seen = []

    def twice(z):
        seen.append(z)
        return 2 * z

    before = CLEAN.values[PLACE].clone()
    after = run(MODEL, TOKENS, [edited_latents(PLACE, SAE, POSITIONS, twice)], [PLACE]).values[PLACE]
    [z] = seen
    assert z.shape == (5, 2, 53) and torch.equal(z, SAE.encode(here(before)))
    assert torch.allclose(here(after), here(before) + z @ SAE.W_dec, atol=1e-5)
    is_edited = torch.zeros(5, 17, dtype=torch.bool).scatter(1, POSITIONS, True)
    assert torch.equal(after[~is_edited], before[~is_edited])
    assert ((after - before)[is_edited].abs().amax(dim=1) > 0.1).all()


def test_an_edit_leaves_its_argument_as_it_is():
    value = CLEAN.values[PLACE].clone()
    for edit in (edited_latents(PLACE, SAE, POSITIONS, torch.zeros_like), reconstruction(PLACE, SAE)):
        edit.function(value)
        assert torch.equal(value, CLEAN.values[PLACE])


def test_an_edit_is_felt_from_its_position_on():
    positions = torch.full((5, 1), 7)
    edited = run(MODEL, TOKENS, [edited_latents(PLACE, SAE, positions, torch.zeros_like)]).logits
    assert torch.equal(edited[:, :7], CLEAN.logits[:, :7])
    assert ((edited - CLEAN.logits)[:, 7:].abs().amax(dim=2) > 0).all()
