"""A HookedTransformer gives the same results as the transformer of mazewm that it was made from;
and the example, which trains one and studies it."""

import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import assert_walks_vary, wanderer

from mazewm.datasets import draw
from mazewm.elsewhere.adapter import Elsewhere
from mazewm.elsewhere.hooked import Hooked, is_hooked, load_hooked
from mazewm.export.models import export_model
from mazewm.inference.asking import every_question
from mazewm.inference.edits import Edit, run
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import rollouts_behind
from mazewm.io.errors import BadInput
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import Vocabulary, encode, encoding_rng
from mazewm.model.positions import ENCODINGS
from mazewm.model.sites import Place, Site
from stages.imports import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
REASON = "transformer-lens, an optional peer, is not installed or does not import"
FAMILY = draw.FamilyParams(generator="dfs", size=3, min_cells=6, max_cells=6, share=1.0)
MAZES = draw.draw(encoding_rng(0), lattice(3), "trees", FAMILY, 8)
CLOSE = 1e-4


def needed():
    return pytest.importorskip("transformer_lens", reason=REASON, exc_type=ImportError)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_it_is_the_same_as_ours_with_any_positions(encoding, tmp_path):
    needed()
    known = wanderer(encoding)
    export_model(known, "known", tmp_path / "model")
    loaded, names = load_hooked(tmp_path / "model")
    assert is_hooked(loaded) and not is_hooked(known) and tuple(names) == Vocabulary(3).names
    model, encoded = Elsewhere(Hooked(loaded), 3, names), encode(MAZES, encoding_rng(0))
    place, tokens = Place(0, Site.RESID_POST), torch.from_numpy(encoded.tokens)
    ours, theirs = (run(each, tokens, record=[place]) for each in (known, model))
    for one, other in ((ours.values[place], theirs.values[place]), (ours.logits, theirs.logits)):
        one, other = one[..., 1:], other[..., 1:]
        assert float((one - other).abs().max()) < CLOSE * float(one.std())
    found = []
    for each in (known, model):
        read = ReadLists.of(each, encoded.lists, {0})
        edited = read.edited(Edit(place, lambda value: -4 * value.roll(1, dims=2)))
        found.append(rollouts_behind(each, [read.prefix, edited], every_question(MAZES)))
    for one, other in zip(*found, strict=True):
        assert (one == other).all()
    assert_walks_vary(found[0][0])
    assert (found[0][0] != found[0][1]).any(), "the edit has an effect"


def test_the_control_has_other_weights_drawn_by_a_seed(tmp_path):
    needed()
    export_model(wanderer("rotary"), "known", tmp_path / "model")
    model = Elsewhere(Hooked(load_hooked(tmp_path / "model")[0]), 3)
    tokens = torch.from_numpy(encode(MAZES, encoding_rng(0)).tokens)
    one, same, other = (model.untrained(seed)(tokens) for seed in (1, 1, 2))
    assert torch.equal(one, same) and float((one - other).abs().max()) > 1e-3


def test_positions_that_are_added_inside_attention_are_refused():
    lens = needed()
    cfg = lens.HookedTransformerConfig(
        n_layers=1, d_model=8, n_heads=1, d_head=8, n_ctx=9, d_vocab=20, act_fn="relu",
        positional_embedding_type="shortformer",
    )  # fmt: skip
    with pytest.raises(BadInput, match=r"positional_embedding_type: .* found 'shortformer'\.$"):
        Hooked(lens.HookedTransformer(cfg))


def test_files_that_do_not_fit_are_refused(tmp_path):
    needed()
    folder = tmp_path / "model"
    with pytest.raises(BadInput, match=r"config\.json: the file is missing"):
        load_hooked(folder)
    export_model(wanderer("none"), "known", folder)
    (folder / "vocabulary.json").write_text("{}")
    with pytest.raises(BadInput, match=r"vocabulary\.json: expected a list of the text of every"):
        load_hooked(folder)
    state = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in state.items() if k != "ln_final.w"}, folder / "model.safetensors")
    with pytest.raises(BadInput, match=r"found \['ln_final.w'\] missing and \[\] unknown\.$"):
        load_hooked(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"act_fn": "none such"}))
    with pytest.raises(BadInput, match=r"TransformerLens says: .*none such"):
        load_hooked(folder)
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match="no whole safetensors file"):
        load_hooked(folder)


def test_without_the_library_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformer_lens", None)
    with pytest.raises(BadInput, match="^transformer-lens: not installed"):
        load_hooked(tmp_path)


def test_the_example_trains_and_studies_one(tmp_path):
    needed()
    line = [sys.executable, "examples/study_hooked_transformer.py", str(tmp_path / "found")]
    done = subprocess.run(
        [*line, "--steps", "40", "--mazes", "400", "--tiny"],
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "MAZEWM_DEVICE": "cpu", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for line in ("gelu", r"solved: \d", "connections are read: ", "  latents, 1: "):
        assert re.search(f"^{line}", done.stdout, re.MULTILINE), line
    assert (tmp_path / "found" / "summary.txt").read_text().splitlines()[0] == "gelu"
