"""SAEs of SAELens have the same latents and reconstructions as ours; those that differ are refused.

Where SAELens is installed, it writes and computes; elsewhere the formulas of its documentation do.
"""

import json

import pytest
import torch
from elsewhere.latents import LATENTS, D, K, same, values
from safetensors.torch import load_file, save_file

from mazewm.elsewhere.saes import ACTIVATIONS, foreign_sae
from mazewm.export.saes import Origin, export_sae
from mazewm.io.errors import BadInput
from mazewm.model.sites import Place, Site

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
REASON = "sae-lens, an optional peer, is not installed or does not import"
SIX = {"sae_lens_version": "6.54.12"}
HOOK = "blocks.1.hook_resid_post"


def weights(architecture):
    """Random ones; decoder rows of many lengths, and thresholds on both sides of 0."""
    rng = torch.Generator().manual_seed(1)

    def drawn(*shape):
        return torch.randn(*shape, generator=rng)

    state = {"W_enc": drawn(D, LATENTS) / 3, "b_enc": drawn(LATENTS) / 3}
    state |= {"W_dec": drawn(LATENTS, D) * torch.rand(LATENTS, 1, generator=rng)}
    state |= {"b_dec": drawn(D)}
    return state | ({"threshold": drawn(LATENTS) / 2} if architecture == "jumprelu" else {})


def config(architecture):
    found = {"architecture": architecture, "d_in": D, "d_sae": LATENTS, "dtype": "float32"}
    found |= {"device": "cpu", "apply_b_dec_to_input": True, "normalize_activations": "none"}
    found |= {"reshape_activations": "none", "metadata": {"hook_name": HOOK, **SIX}}
    if architecture == "topk":
        found |= {"k": K, "rescale_acts_by_decoder_norm": False}
    return found


def saved(folder, architecture, changes=None):
    folder.mkdir(exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config(architecture) | (changes or {})))
    save_file(weights(architecture), folder / "sae_weights.safetensors")
    return folder


def by_formula(architecture, x, is_input, is_rescaled):
    """Latents and reconstructions."""
    w = weights(architecture)
    pre = (x - w["b_dec"] * is_input) @ w["W_enc"] + w["b_enc"]
    norm = w["W_dec"].norm(dim=1) if is_rescaled else torch.ones(LATENTS)
    pre = pre * norm
    z = pre.relu()
    if architecture == "topk":
        z = z * (z >= z.topk(K).values[:, -1:])
    if architecture == "jumprelu":
        z = z * (pre > w["threshold"])
    return z, z / norm @ w["W_dec"] + w["b_dec"]


CASES = [(name, is_input, False) for name in ACTIVATIONS for is_input in (True, False)]
CASES += [("topk", True, True), ("topk", False, True)]


@pytest.mark.parametrize(("architecture", "is_input", "is_rescaled"), CASES)
def test_latents_and_reconstructions_are_those_of_the_formulas(
    tmp_path, architecture, is_input, is_rescaled
):
    changes = {"apply_b_dec_to_input": is_input}
    if architecture == "topk":
        changes["rescale_acts_by_decoder_norm"] = is_rescaled
    ours = foreign_sae(saved(tmp_path / "sae", architecture, changes))
    assert ours.place == Place(1, Site.RESID_POST)
    same(ours.sae, *by_formula(architecture, values(), is_input, is_rescaled))


@pytest.mark.parametrize(("architecture", "is_input", "is_rescaled"), CASES)
def test_latents_and_reconstructions_are_those_of_sae_lens(
    tmp_path, architecture, is_input, is_rescaled
):
    lens = pytest.importorskip("sae_lens", reason=REASON, exc_type=ImportError)
    changes = {"apply_b_dec_to_input": is_input}
    if architecture == "topk":
        changes["rescale_acts_by_decoder_norm"] = is_rescaled
    theirs = lens.SAE.load_from_disk(saved(tmp_path / "first", architecture, changes))
    theirs.save_model(tmp_path / "sae")
    with torch.no_grad():
        z, x_hat = theirs.encode(values()), theirs(values())
    ours = foreign_sae(tmp_path / "sae")
    assert ours.place == Place(1, Site.RESID_POST)
    same(ours.sae, z, x_hat)


@pytest.mark.parametrize("architecture", ACTIVATIONS)
def test_what_goes_out_comes_in_again(tmp_path, architecture):
    placed = foreign_sae(saved(tmp_path / "sae", architecture))
    export_sae(placed.sae, Origin("other", placed.place, "trained"), tmp_path / "again")
    again = foreign_sae(tmp_path / "again")
    assert again.place == placed.place and again.sae.shape == placed.sae.shape
    for name, weight in placed.sae.state_dict().items():
        assert torch.equal(again.sae.state_dict()[name], weight)
    placed.sae.save(tmp_path / "own.safetensors")
    loaded = type(placed.sae).load(tmp_path / "own.safetensors")
    assert torch.equal(loaded.encode(values()), placed.sae.encode(values()))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"architecture": "gated"}, r"architecture: expected one of \['standard', .* 'gated'\.$"),
        ({"normalize_activations": "layer_norm"}, r"normalize_activations: expected 'none', "),
        ({"reshape_activations": "hook_z"}, r"reshape_activations: expected 'none', found 'hook_z"),
        ({"metadata": {"hook_name": HOOK}}, r"sae_lens_version: expected 6 or later, .* None\.$"),
        ({"metadata": SIX}, r"metadata.hook_name: expected blocks\.LAYER\. .* found None\.$"),
        (
            {"metadata": {"hook_name": "blocks.0.attn.hook_z", **SIX}},
            r"found 'blocks.0.attn.hook_z'\.$",
        ),
        ({"k": LATENTS + 1}, r"k: expected 1 to 40, as many as latents, found 41\.$"),
        ({"k": "5"}, r"k: expected a whole number, found '5'\.$"),
    ],
)
def test_what_mazewm_cannot_have_is_refused(tmp_path, changes, says):
    with pytest.raises(BadInput, match=says):
        foreign_sae(saved(tmp_path / "sae", "topk", changes))


def test_files_that_are_missing_or_broken_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"cfg\.json: the file is missing"):
        foreign_sae(tmp_path)
    folder = saved(tmp_path / "sae", "standard")
    state = load_file(folder / "sae_weights.safetensors")
    save_file({**state, "b_enc": state["b_enc"][1:]}, folder / "sae_weights.safetensors")
    with pytest.raises(BadInput, match=r"b_enc: expected shape \[40\], found \[39\]\.$"):
        foreign_sae(folder)
    save_file({"W_enc": state["W_enc"]}, folder / "sae_weights.safetensors")
    with pytest.raises(BadInput, match=r"expected a tensor 'b_enc', found only \['W_enc'\]\.$"):
        foreign_sae(folder)
    (folder / "sae_weights.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match="not a whole safetensors file"):
        foreign_sae(folder)
