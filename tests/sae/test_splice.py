"""The SAE in the forward pass: what it loses is lost."""

import torch
from planted import random_sae
from toys import tiny, tokens

from mazewm.inference.edits import run
from mazewm.model.sites import Place, Site
from mazewm.sae.splice import reconstruction

PLACE = Place(0, Site.RESID_POST)
MODEL, TOKENS = tiny("learned"), tokens()
SAE = random_sae(30, 53)
CLEAN = run(MODEL, TOKENS, record=[PLACE])


def test_a_reconstruction_replaces_the_activation():
    spliced = run(MODEL, TOKENS, [reconstruction(PLACE, SAE)], [PLACE])
    assert torch.allclose(spliced.values[PLACE], SAE(CLEAN.values[PLACE]), atol=1e-5)
    assert (spliced.logits - CLEAN.logits).abs().max() > 0.1


def test_it_leaves_its_argument_as_it_is():
    value = CLEAN.values[PLACE].clone()
    reconstruction(PLACE, SAE).function(value)
    assert torch.equal(value, CLEAN.values[PLACE])
