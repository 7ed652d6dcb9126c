"""A transformer that TransformerLens loads computes the same, at every hook."""

import json
from pathlib import Path

import pytest
import torch
from export.planted_export import CLOSE, sequences, stirred
from safetensors.torch import load_file
from toys import tiny

from mazewm.export import models
from mazewm.inference import edits
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import Vocabulary
from mazewm.model.positions import ENCODINGS
from mazewm.model.sites import Place, Site

# the libraries warn of their own deprecations
pytestmark = pytest.mark.filterwarnings("ignore::Warning")
REASON = "transformer-lens, an optional peer, is not installed or does not import"
# Where a token has a value for each head; ours are [batch, head, ...].
HEADS = {Site.Q: "hook_q", Site.K: "hook_k", Site.V: "hook_v", Site.Z: "hook_z"}
TURNED = {Site.Q: "hook_rot_q", Site.K: "hook_rot_k"}
PAIRS = {Site.SCORES: "hook_attn_scores", Site.PATTERN: "hook_pattern"}


def loaded(folder: Path):
    """Another library's model from the files alone; only what it makes itself may be missing."""
    lens = pytest.importorskip("transformer_lens", reason=REASON, exc_type=ImportError)
    config = json.loads((folder / models.CONFIG).read_text())
    peer = lens.HookedTransformer(lens.HookedTransformerConfig(**config, device="cpu"))
    left = peer.load_state_dict(load_file(folder / models.WEIGHTS), strict=False)
    parameters = {name for name, _ in peer.named_parameters()}
    assert not left.unexpected_keys and not parameters & set(left.missing_keys)
    return peer.eval()


def apart(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference; both must have one shape and more than one value."""
    assert ours.shape == theirs.shape and ours.std() > 100 * CLOSE
    return float((ours - theirs).abs().max())


def test_logits_and_every_hook_are_the_same(run, tmp_path):
    models.export_model(run.model, run.name, tmp_path / "model")
    peer, tokens = loaded(tmp_path / "model"), sequences(run.mazes("test"))
    places = [Place(layer, site) for layer in range(run.model.params.n_layers) for site in Site]
    ours = edits.run(run.model, tokens, record=places)
    with torch.no_grad():
        logits, cache = peer.run_with_cache(tokens)
    assert peer.cfg.model_name == run.name
    assert apart(ours.logits, logits) < CLOSE
    heads = HEADS | (TURNED if run.encoding == "rotary" else {})
    causal = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
    for place, value in ours.values.items():
        inside = f"blocks.{place.layer}.attn."
        if place.site in heads:
            theirs = cache[inside + heads[place.site]].transpose(1, 2)
        elif place.site in PAIRS:  # our scores are those before the mask
            theirs, value = cache[inside + PAIRS[place.site]][..., causal], value[..., causal]
        else:
            theirs = cache[models.hook_name(place)]
        assert apart(value, theirs) < CLOSE, place


def test_a_prompt_as_long_as_the_context_is_the_same(run, tmp_path):
    models.export_model(run.model, run.name, tmp_path / "model")
    peer, n_ctx = loaded(tmp_path / "model"), run.model.n_ctx
    tokens = torch.randint(run.model.d_vocab, (3, n_ctx), generator=torch.manual_seed(0))
    with torch.no_grad():
        assert apart(run.model(tokens), peer(tokens)) < CLOSE


def test_the_files_say_what_the_model_is(run, tmp_path):
    models.export_model(run.model, run.name, tmp_path / "model")
    read = sorted(path.name for path in (tmp_path / "model").iterdir())
    assert read == ["config.json", "model.safetensors", "vocabulary.json"]
    config = json.loads((tmp_path / "model" / models.CONFIG).read_text())
    assert (config["d_head"], config["n_ctx"]) == (10, Vocabulary(3).max_length)
    assert config.get("rotary_dim") == (4 if run.encoding == "rotary" else None)
    names = json.loads((tmp_path / "model" / models.VOCABULARY).read_text())
    assert tuple(names) == Vocabulary(3).names and len(names) == config["d_vocab"]
    state = load_file(tmp_path / "model" / models.WEIGHTS)
    n_ours = sum(weight.numel() for weight in run.model.parameters())
    tables = 0 if run.encoding in ("learned", "rotary") else state["pos_embed.W_pos"].numel()
    zeros = run.model.d_vocab + 2 * 3 * 30  # biases of the unembedding, and of Q, K, V in 2 layers
    assert sum(weight.numel() for weight in state.values()) == n_ours + tables + zeros
    assert state["blocks.1.attn.W_Q"].shape == (3, 30, 10)
    assert torch.equal(state["blocks.1.attn.W_Q"][2], run.model.layers[1].attn.Q[:, 20:])
    assert torch.equal(state["blocks.1.attn.W_O"][2], run.model.layers[1].attn.O[20:])


def test_every_encoding_has_a_type_there():
    assert set(models.POSITIONS) == set(ENCODINGS)


def test_places_have_hooks_unless_they_are_inside_attention():
    assert models.hook_name(Place(3, Site.MLP_POST)) == "blocks.3.mlp.hook_post"
    assert {*models.HOOKS, *HEADS, *PAIRS} == set(Site)
    with pytest.raises(BadInput, match=r"^place: expected one of the sites \['resid_pre', [^\n]+"):
        models.hook_name(Place(0, Site.Z))


def test_what_is_there_stays(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match=r"model: exists already; expected a new name\.$"):
        models.export_model(stirred("none"), "none-all-0", tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "mine.txt"]


def test_a_model_with_tokens_of_no_lattice_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"^model: expected 11 tokens and [^\n]+ found 19 tokens\.$"):
        models.export_model(tiny("none"), "none-all-0", tmp_path / "model")
    assert not list(tmp_path.iterdir())
