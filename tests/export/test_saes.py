"""An SAE that SAELens loads has the same latents, and names the hook that it reads."""

import json

import pytest
import torch
from export.planted_export import CLOSE, planted_run, sequences
from planted import SITE
from safetensors.torch import load_file

from mazewm.export import saes
from mazewm.inference import edits
from mazewm.io.errors import BadInput
from mazewm.model.sites import Place, Site
from mazewm.sae.files import TRAINED, UNTRAINED_MODEL

# the libraries warn of their own deprecations
pytestmark = pytest.mark.filterwarnings("ignore::Warning")
REASON = "sae-lens, an optional peer, is not installed or does not import"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run is enough: SAEs do not depend on the positional encoding."""
    return planted_run(tmp_path_factory.mktemp("run"), "learned")


@pytest.mark.parametrize("activation", saes.ARCHITECTURES)
def test_latents_and_reconstructions_are_the_same(run, tmp_path, activation):
    lens = pytest.importorskip("sae_lens", reason=REASON, exc_type=ImportError)
    ours = saes.sae_of(run, SITE.place, activation)
    saes.export_sae(ours, saes.Origin(run.name, SITE.place, activation), tmp_path / "sae")
    theirs = lens.SAE.load_from_disk(tmp_path / "sae").eval()
    assert theirs.cfg.metadata.hook_name == f"blocks.{SITE.layer}.hook_resid_post"
    assert theirs.cfg.metadata.model_name == run.name
    tokens = sequences(run.mazes("test"))
    values = edits.run(run.model, tokens, record=[SITE.place]).values[SITE.place]
    with torch.no_grad():
        latents, expected = theirs.encode(values), ours.encode(values)
        assert 0 < (expected > 0).float().mean() < 0.8
        assert torch.equal(latents > 0, expected > 0)
        assert float((latents - expected).abs().max()) < CLOSE < float(expected.std())
        assert float((theirs(values) - ours(values)).abs().max()) < CLOSE < float(values.std())


def test_every_latent_has_the_threshold(run, tmp_path):
    ours = saes.sae_of(run, SITE.place, "matryoshka")
    saes.export_sae(ours, saes.Origin(run.name, SITE.place, "matryoshka"), tmp_path / "sae")
    state = load_file(tmp_path / "sae" / saes.WEIGHTS)
    assert set(state) == {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"}
    assert state["threshold"].tolist() == [float(ours.threshold)] * ours.shape.n_latents
    assert torch.equal(state["W_dec"], ours.W_dec) and float(ours.threshold) > 0


def test_the_configuration_says_whose_values_are_read(run, tmp_path):
    sae = saes.sae_of(run, SITE.place, TRAINED)
    saes.export_sae(sae, saes.Origin(run.name, Place(1, Site.MLP_POST), TRAINED), tmp_path / "sae")
    found = json.loads((tmp_path / "sae" / saes.CONFIG).read_text())
    assert (found["architecture"], found["k"], found["d_in"]) == ("topk", 5, 30)
    assert found["metadata"]["hook_name"] == "blocks.1.mlp.hook_post"
    untrained = saes.sae_config(sae, saes.Origin(run.name, SITE.place, UNTRAINED_MODEL))
    assert untrained["metadata"]["model_name"] == "learned-all-0-untrained"


def test_an_sae_that_is_not_there_is_refused_with_those_that_are(run):
    kinds = ["trained", "batch_topk", "jumprelu", "matryoshka", "relu", "topk"]
    assert saes.kinds_at(run, SITE.place) == kinds
    with pytest.raises(BadInput, match=r"expected one of the kinds \['trained', .* found 'other'"):
        saes.sae_of(run, SITE.place, "other")
    with pytest.raises(BadInput, match=r"of the places \['0.resid_post'\], found '1.mlp_out'\.$"):
        saes.sae_of(run, Place(1, Site.MLP_OUT), TRAINED)


def test_a_place_inside_attention_is_refused_before_anything_is_written(run, tmp_path):
    sae = saes.sae_of(run, SITE.place, TRAINED)
    with pytest.raises(BadInput, match="^place: expected one of the sites"):
        saes.export_sae(sae, saes.Origin(run.name, Place(0, Site.Z), TRAINED), tmp_path / "sae")
    assert not list(tmp_path.iterdir())
