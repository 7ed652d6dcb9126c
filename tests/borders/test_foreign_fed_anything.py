"""Models and SAEs that were trained elsewhere, with anything in their files: read, or refused in
one sentence.
"""

import json

import pytest
import torch
from safetensors.torch import save_file

from mazewm.elsewhere.adapter import Elsewhere
from mazewm.elsewhere.dictionaries import FORMS, foreign_dictionary
from mazewm.elsewhere.residual import ByHook
from mazewm.elsewhere.saes import foreign_sae
from mazewm.io.errors import BadInput
from mazewm.model import Transformer, TransformerParams
from tests.borders.fed import assert_sentence, refused
from tests.elsewhere.outside import Outside

D, N = 6, 10
VALUES = [None, True, -1, 0, 1, 2.5, 10**30, "x", "", [], {}, ["standard"], "a" * 10_000]
SAE = {
    "architecture": "jumprelu",
    "normalize_activations": "none",
    "reshape_activations": "none",
    "apply_b_dec_to_input": True,
    "metadata": {"sae_lens_version": "6.44.0", "hook_name": "blocks.0.hook_resid_post"},
}


def sae_state():
    return {
        "W_enc": torch.randn(D, N),
        "b_enc": torch.randn(N),
        "W_dec": torch.randn(N, D),
        "b_dec": torch.randn(D),
        "threshold": torch.rand(N),
    }


def sae_folder(folder, config, state):
    folder.mkdir(exist_ok=True)
    (folder / "cfg.json").write_text(json.dumps(config))
    save_file(state, folder / "sae_weights.safetensors")
    return folder


def read_or_refused(read, folder):
    """What is read has only finite weights."""
    try:
        found = read(folder)
    except BadInput as error:
        assert_sentence(str(error))
        assert str(folder) in str(error)
        return
    sae = getattr(found, "sae", found)
    assert all(value.isfinite().all() for value in sae.state_dict().values())
    assert sae(torch.randn(3, D)).isfinite().all()


def test_the_configuration_of_sae_lens(tmp_path):
    state = sae_state()
    for architecture in ("standard", "topk", "jumprelu"):
        good = SAE | {"architecture": architecture, "k": 3}
        for key in (*good, "rescale_acts_by_decoder_norm", "further"):
            for value in VALUES:
                config = good | {key: value}
                read_or_refused(foreign_sae, sae_folder(tmp_path / "sae", config, state))
            without = {name: one for name, one in good.items() if name != key}
            read_or_refused(foreign_sae, sae_folder(tmp_path / "sae", without, state))
    for value in VALUES:
        read_or_refused(foreign_sae, sae_folder(tmp_path / "sae", value, state))
        for key in SAE["metadata"]:
            config = SAE | {"metadata": SAE["metadata"] | {key: value}}
            read_or_refused(foreign_sae, sae_folder(tmp_path / "sae", config, state))
    assert foreign_sae(sae_folder(tmp_path / "sae", SAE, state)).sae.shape.n_latents == N


def spoilt(state):
    """The weights with one thing wrong."""
    for name, value in state.items():
        yield {key: one for key, one in state.items() if key != name}
        wrong = {"nan": value.float() * float("nan"), "inf": value.float() + float("inf")}
        for shape in ((3,), (N, N, N), (0,), (D, 2)):
            wrong[str(shape)] = torch.zeros(shape)
        for one in wrong.values():
            yield state | {name: one}
    large = {name: value.double() * 1e200 for name, value in state.items()}
    yield large  # infinite in 32 bits


def test_the_weights_of_sae_lens(tmp_path):
    for state in spoilt(sae_state()):
        with refused(tmp_path / "sae"):
            foreign_sae(sae_folder(tmp_path / "sae", SAE, state))
    config = SAE | {"rescale_acts_by_decoder_norm": True}
    zeros = sae_state() | {"W_dec": torch.zeros(N, D)}
    with refused(tmp_path / "sae", "W_dec: expected finite weights"):
        foreign_sae(sae_folder(tmp_path / "sae", config, zeros))


def dictionary_state(form):
    encoder, decoder = torch.randn(N, D), torch.randn(D, N)
    if not form.is_linear:
        encoder, decoder = encoder.T.contiguous(), decoder.T.contiguous()
    state = dict(zip(form.names, (encoder, torch.randn(N), decoder, torch.randn(D)), strict=False))
    further = {"k": torch.tensor(3), "threshold": torch.tensor(0.1)}
    if form.activation == "jumprelu":
        further["threshold"] = torch.rand(N)
    return state | {name: further[name] for name in form.further}


def dictionary_folder(folder, config, state):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "ae.safetensors")
    return folder


@pytest.mark.parametrize("name", FORMS)
def test_dictionaries(tmp_path, name):
    good, folder = {"trainer": {"dict_class": name}}, tmp_path / "layer_0.resid_post"
    state = dictionary_state(FORMS[name])
    # a folder with a dot in its name is none the less a folder
    assert foreign_dictionary(dictionary_folder(folder, good, state)).shape.n_latents == N
    for value in VALUES:
        for config in (value, {"trainer": value}, {"trainer": {"dict_class": value}}):
            with refused(folder / "config.json"):
                foreign_dictionary(dictionary_folder(folder, config, state))
    for wrong in spoilt(state):
        dictionary_folder(folder, good, wrong)
        with refused(folder):
            foreign_dictionary(folder)


def test_one_threshold_does_for_all_latents(tmp_path):
    state = sae_state() | {"threshold": torch.tensor([0.5])}
    sae = foreign_sae(sae_folder(tmp_path / "sae", SAE, state)).sae
    assert sae.threshold.tolist() == [0.5] * N


def outside(**changes):
    """A model of four tokens, with members replaced."""
    params = TransformerParams(n_layers=2, d_model=8, n_heads=2, d_mlp=8)
    model = Outside(Transformer(params, "learned", 4, 12).eval(), [3, 2, 1, 0])
    for name, value in changes.items():
        setattr(model, name, value)
    return model


@pytest.mark.parametrize("name", ["n_layers", "d_model", "d_vocab", "n_ctx", "device"])
def test_the_size_of_a_model(name):
    own = getattr(outside(), name)
    for value in (None, "x", -1, 0, 1, 2.5, [], float("nan"), 10**6):
        if value != own:
            if (name, value) == ("n_ctx", 10**6):
                continue  # a larger context is not seen until it is used
            with refused("model: "):
                ByHook(outside(**{name: value}))


def test_logits_of_anything():
    real = outside().logits

    def changed(change, place=None):
        def logits(tokens, at_depth):
            return change(real(tokens, lambda depth, resid: at_depth(depth, resid)))

        return logits

    wrong = {
        "not a number": lambda found: found * float("nan"),
        "infinite": lambda found: found + float("inf"),
        "one is none": lambda found: found.masked_fill(torch.arange(4) == 2, float("nan")),
        "nothing": lambda found: None,
        "too few": lambda found: found[..., :-1],
        "a list": lambda found: found.tolist(),
    }
    for change in wrong.values():
        with refused("model: logits: expected"):
            ByHook(outside(logits=changed(change)))
    ByHook(outside(logits=changed(lambda found: found)))


def test_the_vocabulary_of_a_model():
    blocks = ByHook(outside())
    for names in (None, [], ["x"] * 4, ["(0,0)", "(0,1)", "(1,0)", "(1,1)"], ["", "", "", ""]):
        with refused("expected"):
            Elsewhere(blocks, 2, names)
