"""Files of weights with anything in them: a model, or one sentence; and never code that is run."""

import json
import os
import pickle
import random
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mazewm.io.errors import BadInput
from mazewm.model import Transformer, TransformerParams
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder
from tests.borders.fed import assert_sentence, refused

SHAPE = TransformerParams(n_layers=2, d_model=16, n_heads=2, d_mlp=24)
KINDS = {
    "transformer": (lambda: Transformer(SHAPE, "learned", d_vocab=20, n_ctx=30), Transformer.load),
    "sae": (
        lambda: SparseAutoencoder(SaeShape(activation="topk", d_model=8, n_latents=24, k=3)),
        SparseAutoencoder.load,
    ),
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def file(kind, tmp_path):
    path = tmp_path / "weights.safetensors"
    KINDS[kind][0]().save(path)
    return path


def parts(path):
    """What the header says, and the tensors."""
    with safe_open(path, "pt") as opened:
        said = json.loads(opened.metadata()["mazewm"])
        # Copies: older safetensors hand out views of the file, which is written again here.
        tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118
        return said, tensors


def write(path, said, tensors):
    save_file(tensors, path, {"mazewm": json.dumps(said)})


def test_a_file_that_ends_early_is_refused(kind, file):
    whole = file.read_bytes()
    for tenth in range(10):
        file.write_bytes(whole[: len(whole) * tenth // 10])
        with refused(file, "whole safetensors file"):
            KINDS[kind][1](file)


def test_a_bit_that_is_turned_is_refused_or_leaves_finite_weights(kind, file):
    rng, whole = random.Random(0), file.read_bytes()
    (n_header,) = struct.unpack("<Q", whole[:8])
    n_refused = 0
    for nth in range(200):
        spoilt = bytearray(whole)
        at = rng.randrange(n_header + 8 if nth % 2 else len(whole))
        spoilt[at] ^= 1 << rng.randrange(8)
        file.write_bytes(spoilt)
        try:
            model = KINDS[kind][1](file)
        except BadInput as error:
            assert_sentence(str(error))
            assert str(file) in str(error)
            n_refused += 1
        else:
            assert all(value.isfinite().all() for value in model.state_dict().values())
    assert n_refused > 50


@pytest.mark.parametrize("length", [0, 1, 2**20, 2**40, 2**63, 2**64 - 1])
def test_a_header_of_any_length_is_refused(kind, file, length):
    file.write_bytes(struct.pack("<Q", length) + file.read_bytes()[8:])
    with refused(file):
        KINDS[kind][1](file)


CONFIGS = [None, True, -1, 0, 2**31, 10**30, 2.5, "x", [], {}, ["learned"], 1 << 19]


def test_a_config_of_anything_is_refused(kind, file):
    """Nothing is made at its size before the weights are compared with it."""
    said, tensors = parts(file)
    for key in said["config"]:
        own = said["config"][key]
        for value in (*CONFIGS, "rotary"):
            write(file, said | {"config": said["config"] | {key: value}}, tensors)
            with refused(file):
                KINDS[kind][1](file)
        without = {name: one for name, one in said["config"].items() if name != key}
        write(file, said | {"config": without}, tensors)
        with refused(file, f"config.{key}: the key is missing"):
            KINDS[kind][1](file)
        if isinstance(own, dict):
            for inner in own:
                for value in (*CONFIGS, own[inner] + 1, own[inner] * 2, 10**9):
                    if (key, inner) == ("params", "n_heads") and value == own[inner] * 2:
                        continue  # as many weights, in other heads
                    config = said["config"] | {key: own | {inner: value}}
                    write(file, said | {"config": config}, tensors)
                    with refused(file):
                        KINDS[kind][1](file)


def test_further_missing_and_other_tensors_are_refused(kind, file):
    said, tensors = parts(file)
    for name, value in tensors.items():
        if value.ndim == 0:
            continue
        others = {
            "missing": {key: one for key, one in tensors.items() if key != name},
            "another shape": tensors | {name: torch.zeros(*value.shape, 2)},
            "transposed": tensors | {name: value[:-1].contiguous()},
            "no numbers": tensors | {name: value[:0].contiguous()},
            "integers": tensors | {name: value.to(torch.int64)},
            "half": tensors | {name: value.half()},
            "eight bits": tensors | {name: value.to(torch.float8_e4m3fn)},
            "not a number": tensors | {name: value * float("nan")},
            "infinite": tensors | {name: value + float("inf")},
        }
        for changed in others.values():
            write(file, said, changed)
            with refused(file, name if changed is not others["missing"] else ""):
                KINDS[kind][1](file)
    write(file, said, tensors | {"further": torch.zeros(3)})
    with refused(file, "further"):
        KINDS[kind][1](file)
    write(file, said, tensors)
    KINDS[kind][1](file)  # the other side of the coin


def test_the_weights_of_another_encoding_are_refused(tmp_path):
    learned, rotary = (
        Transformer(SHAPE, name, d_vocab=20, n_ctx=30) for name in ("learned", "rotary")
    )
    files = {}
    for name, model in (("learned", learned), ("rotary", rotary)):
        files[name] = tmp_path / f"{name}.safetensors"
        model.save(files[name])
    (says_learned, of_learned), (says_rotary, of_rotary) = map(parts, files.values())
    for said, tensors in ((says_learned, of_rotary), (says_rotary, of_learned)):
        write(files["learned"], said, tensors)
        with refused(files["learned"], "do not fit their own config"):
            Transformer.load(files["learned"])


def test_one_kind_is_not_another(tmp_path):
    for one, other in (("transformer", "sae"), ("sae", "transformer")):
        file = tmp_path / f"{one}.safetensors"
        KINDS[one][0]().save(file)
        with refused(file, "expected the weights of"):
            KINDS[other][1](file)


class Hostile:
    """What unpickling it does: here, it would write a file."""

    def __reduce__(self):
        return os.system, ("touch canary",)


def test_a_pickle_is_refused_and_not_run(kind, file, monkeypatch):
    monkeypatch.chdir(file.parent)
    for write_it in (
        lambda: file.write_bytes(pickle.dumps(Hostile())),
        lambda: torch.save({"W_E": Hostile()}, file),
    ):
        write_it()
        with refused(file, "whole safetensors file"):
            KINDS[kind][1](file)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
