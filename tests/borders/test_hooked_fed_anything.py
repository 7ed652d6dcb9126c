"""A folder of a HookedTransformer with anything in it: read, or refused in one sentence."""

import json

import pytest
import torch

pytest.importorskip("transformer_lens", reason="made by `make bench`", exc_type=ImportError)

from safetensors.torch import load_file, save_file

from mazewm.elsewhere.hooked import load_hooked
from mazewm.export.models import export_model
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import Vocabulary
from mazewm.model import Transformer, TransformerParams
from tests.borders.fed import assert_sentence, refused

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path):
    params = TransformerParams(n_layers=2, d_model=8, n_heads=2, d_mlp=8)
    model = Transformer(params, "learned", len(Vocabulary(2)), 40)
    export_model(model, "toy", tmp_path / "hooked")
    return tmp_path / "hooked"


def test_a_configuration_of_anything(folder):
    file = folder / "config.json"
    good = json.loads(file.read_text())
    for key in (*good, "dtype", "further"):
        for value in (None, True, -1, 0, 1, 2.5, "x", "", [], {}):
            file.write_text(json.dumps(good | {key: value}))
            try:
                load_hooked(folder)
            except BadInput as error:
                assert_sentence(str(error))
                assert str(folder) in str(error)
    for value in (None, [], "x", 3):
        file.write_text(json.dumps(value))
        with refused(file, "expected a mapping"):
            load_hooked(folder)


def test_no_tokenizer_is_fetched(folder, monkeypatch):
    from transformers import AutoTokenizer

    def fetch(*args, **kwargs):
        raise AssertionError(f"fetched {args}")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", fetch)
    file = folder / "config.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"tokenizer_name": "any/one", "trust_remote_code": True}))
    model, _ = load_hooked(folder)
    assert model.tokenizer is None and not model.cfg.trust_remote_code


def test_weights_and_vocabularies_of_anything(folder):
    file = folder / "model.safetensors"
    # copies, since the file, which is mapped into memory, is written again
    whole, state = file.read_bytes(), {key: one.clone() for key, one in load_file(file).items()}
    for tenth in range(10):
        file.write_bytes(whole[: len(whole) * tenth // 10])
        with refused(file, "whole safetensors file"):
            load_hooked(folder)
    name = "blocks.0.mlp.W_in"
    for value in (state[name] * float("nan"), state[name] + float("inf"), torch.zeros(3)):
        save_file(state | {name: value}, file)
        with refused(folder, name):
            load_hooked(folder)
    file.write_bytes(whole)
    for text in ("", "3", "{}", "[1]", "\udcff".encode("utf-8", "surrogateescape")):
        data = text if isinstance(text, bytes) else text.encode()
        (folder / "vocabulary.json").write_bytes(data)
        with refused(folder / "vocabulary.json"):
            load_hooked(folder)
