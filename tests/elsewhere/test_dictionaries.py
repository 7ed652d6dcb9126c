"""Dictionaries of dictionary_learning have the same latents and reconstructions as ours."""

import json

import pytest
import torch
from elsewhere.latents import LATENTS, D, K, same, values
from safetensors.torch import save_file

from mazewm.elsewhere.dictionaries import FORMS, foreign_dictionary
from mazewm.io.errors import BadInput

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
REASON = "dictionary-learning, an optional peer, is not installed or does not import"


def weights(name):
    """A random state dict of a class, by the names and shapes that the library gives them."""
    rng = torch.Generator().manual_seed(1)

    def drawn(*shape):
        return torch.randn(*shape, generator=rng) / 3

    form = FORMS[name]
    shapes = {"encoder.weight": (LATENTS, D), "encoder.bias": (LATENTS,), "W_enc": (D, LATENTS)}
    shapes |= {"decoder.weight": (D, LATENTS), "W_dec": (LATENTS, D), "b_enc": (LATENTS,)}
    state = {key: drawn(*shapes.get(key, (D,))) for key in form.names[:4]}
    if "k" in form.further:
        state |= {"k": torch.tensor(K, dtype=torch.int), "threshold": torch.tensor(0.4)}
    elif "threshold" in form.further:
        many = name == "JumpReluAutoEncoder"
        state |= {"threshold": drawn(LATENTS) if many else torch.tensor(0.4)}
    return state


def by_formula(name, x):
    """Latents and reconstructions, written from the library's source."""
    w = weights(name)
    encoder, decoder = (
        (w["encoder.weight"].T, w["decoder.weight"].T)
        if "encoder.weight" in w
        else (w["W_enc"], w["W_dec"])
    )
    b_dec = w[FORMS[name].b_dec]
    moved = x if name in ("AutoEncoderNew", "JumpReluAutoEncoder") else x - b_dec
    pre = moved @ encoder + w.get("encoder.bias", w.get("b_enc"))
    z = pre.relu()
    if name == "AutoEncoderTopK":
        z = z * (z >= z.topk(K).values[:, -1:])
    elif "threshold" in w:
        z = z * (pre > w["threshold"])
    return z, z @ decoder + b_dec


def saved(folder, name, dict_class=None):
    folder.mkdir(exist_ok=True)
    state = {key: value.contiguous() for key, value in weights(name).items()}
    save_file(state, folder / "ae.safetensors")
    config = {"trainer": {"dict_class": dict_class or name}, "buffer": {}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("name", FORMS)
def test_a_folder_gives_the_latents_of_the_formulas(tmp_path, name):
    same(foreign_dictionary(saved(tmp_path / "one", name)), *by_formula(name, values()))


@pytest.mark.parametrize("name", FORMS)
def test_an_object_gives_the_latents_that_the_library_computes(name):
    library = pytest.importorskip("dictionary_learning", reason=REASON, exc_type=ImportError)
    from dictionary_learning.trainers import batch_top_k, matryoshka_batch_top_k, top_k

    makers = {
        "AutoEncoderTopK": lambda: top_k.AutoEncoderTopK(D, LATENTS, K),
        "BatchTopKSAE": lambda: batch_top_k.BatchTopKSAE(D, LATENTS, K),
        "MatryoshkaBatchTopKSAE": lambda: matryoshka_batch_top_k.MatryoshkaBatchTopKSAE(
            D, LATENTS, K, [10, 30]
        ),
    }
    theirs = makers.get(name, lambda: getattr(library.dictionary, name)(D, LATENTS))()
    theirs.load_state_dict(weights(name), strict=False)
    with torch.no_grad():
        x_hat, z = theirs(values()), theirs.encode(values())
    same(foreign_dictionary(theirs), z, x_hat)


def test_groups_that_are_switched_off_and_inputs_that_are_centred_are_heeded():
    pytest.importorskip("dictionary_learning", reason=REASON, exc_type=ImportError)
    from dictionary_learning.dictionary import JumpReluAutoEncoder
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE

    nested = MatryoshkaBatchTopKSAE(D, LATENTS, K, [10, 30])
    nested.active_groups = 1
    with pytest.raises(BadInput, match="active_groups: expected all 2 groups"):
        foreign_dictionary(nested)
    jump = JumpReluAutoEncoder(D, LATENTS)
    jump.load_state_dict(weights("JumpReluAutoEncoder"))
    jump.apply_b_dec_to_input = True
    with torch.no_grad():
        same(foreign_dictionary(jump), jump.encode(values()), jump(values()))


@pytest.mark.parametrize("what", ["ae.pt", "trainer_0/ae.pth"])
def test_a_pickle_is_never_loaded(tmp_path, what):
    file = tmp_path / what
    file.parent.mkdir(exist_ok=True)
    torch.save(weights("AutoEncoder"), file)
    with pytest.raises(BadInput, match=r"found a pickle, which mazewm never loads; docs/exchange"):
        foreign_dictionary(file)


def test_other_classes_and_broken_folders_are_refused(tmp_path):
    with pytest.raises(BadInput, match=r"dict_class: expected one of \['AutoEncoder', .*'Gated'"):
        foreign_dictionary(saved(tmp_path / "gated", "AutoEncoder", "Gated"))
    with pytest.raises(BadInput, match=r"^dictionary: expected one of .* found 'Linear'\.$"):
        foreign_dictionary(torch.nn.Linear(2, 2))
    with pytest.raises(BadInput, match=r"expected a tensor 'b_dec', found only"):
        foreign_dictionary(saved(tmp_path / "other", "AutoEncoder", "BatchTopKSAE"))
    with pytest.raises(BadInput, match=r"config\.json: the file is missing"):
        foreign_dictionary(str(tmp_path / "nothing"))
