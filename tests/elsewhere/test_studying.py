"""The study of a plain torch module by the code of docs/exchange.md, as it stands there."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from elsewhere.outside import Outside
from planted import random_sae
from toys import wanderer

from mazewm.datasets import MazeParams, generate
from mazewm.elsewhere import Options, Placed, Settings, foreign_dictionary, opened, study
from mazewm.elsewhere.__main__ import app
from mazewm.elsewhere.placing import at_its_layer, placed
from mazewm.elsewhere.studying import entered
from mazewm.export.saes import Origin, export_sae
from mazewm.io import program
from mazewm.io.errors import BadInput
from mazewm.io.params import load
from mazewm.localize.locating import Located
from mazewm.localize.locations import Location, Locations
from mazewm.localize.writing import WritingRow
from mazewm.maze import mazes as maze_files
from mazewm.maze.tokens import TokenClass, Vocabulary
from mazewm.model.sites import Place, Site
from mazewm.run import Study
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import SaeRow, load_sae
from mazewm.sae.quality import DescriptionRow, SpliceRow
from mazewm.sae.stability import StabilityRow
from mazewm.sae.study import Studied
from stages.imports import ROOT

PARAMS = ROOT / "params.yaml"
PAGE = (ROOT / "docs" / "exchange.md").read_text().split("\n## In\n")[1]
CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
LESS = {
    "writing": {"doses": [4.0]},
    "sae": {"widths": [32], "sparsities": [4.0], "n_penalties": 1, "n_seeds": 2, "n_frozen": 1},
    "interventions": {"set_sizes": [1], "doses": [2.0], "corridor_lengths": [1], "n_added": [0]},
}
SETS = generate(load(MazeParams, "mazes", PARAMS, "tiny"), 0)


class Decoder(torch.nn.Module):
    """A decoder of torch's own parts: post-norm blocks, learned positions."""

    def __init__(self):
        super().__init__()
        self.embed, self.position = torch.nn.Embedding(20, 32), torch.nn.Embedding(67, 32)
        self.blocks = torch.nn.ModuleList(_Block() for _ in range(2))
        self.unembed = torch.nn.Linear(32, 20)

    def forward(self, tokens):
        x = self.embed(tokens) + self.position(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.unembed(x)


class _Block(torch.nn.TransformerEncoderLayer):
    def __init__(self):
        super().__init__(32, 2, 48, dropout=0.0, batch_first=True)

    def forward(self, x):
        unseen = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return super().forward(x, src_mask=unseen)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What the page's first code leaves, at a small scale."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "params.yaml").write_text(PARAMS.read_text())
    for split in ("train", "validation", "test"):
        (folder / "artifacts/mazes/0").mkdir(parents=True, exist_ok=True)
        maze_files.write(folder / f"artifacts/mazes/0/{split}.parquet", SETS[split])
    torch.manual_seed(0)
    torch.set_num_threads(1)
    page = {"module": Decoder().eval().requires_grad_(False), "LESS": LESS}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert CODE[0].count('Settings.at("laptop")') == 1
        exec(CODE[0].replace('Settings.at("laptop")', 'Settings.at("tiny", LESS)'), page)
    return SimpleNamespace(folder=folder, page=page, found=opened(folder / "found"))


def test_the_study_has_its_tables_and_can_be_read_back(done):
    assert done.found.name == "mine" and sorted(path.name for path in done.folder.iterdir()) == [
        "artifacts", "found", "params.yaml",
    ]  # fmt: skip
    names = ["behaviour", "consolidation", "writing", "carried", "saes", "frontier", "splices"]
    names += ["descriptions", "features", "latents", "singles", "taxonomy", "ledger", "pairs"]
    assert all(len(done.found.table(name)) for name in names)
    assert done.found.table("consolidation").own_mass.isna().all()
    assert len(done.page["ledger"]) == len(done.found.table("ledger"))
    with pytest.raises(BadInput, match=r"heads\.parquet"):
        done.found.table("heads")


def test_the_summary_says_what_the_tables_say(done):
    summary, lines = done.found.summary, str(done.found.summary).splitlines()
    assert (done.folder / "found" / "summary.txt").read_text() == f"{summary}\n"
    solved = done.found.table("behaviour").solved.mean()
    assert summary.solved.value == solved and lines[1].startswith(f"solved: {solved:.1%} [")
    ledger = done.found.table("ledger")
    told = ledger[(ledger.split == "test") & (ledger.kind == "add") & (ledger.method == "tokens")]
    is_it = (summary.edits.kind == "add") & (summary.edits.method == "tokens")
    # a module that was not trained solves nothing, so there may be no question that is affected
    hit, spill = (
        told[n].sum() / max(1, told[of].sum())
        for n, of in (("n_hit", "n_affected"), ("n_spill", "n_unaffected"))
    )
    assert np.isclose(summary.edits[is_it].value.item(), hit - spill)
    assert summary.edits[is_it].n_affected.item() == told.n_affected.sum()
    kinds = summary.edits.groupby("kind").method.agg(set)
    for kind in ("add", "remove"):
        assert {"latents", "random_direction", "mean_difference", "none"} <= kinds[kind]
    singles = done.found.table("singles")
    mine = singles[singles.readout == "latents"].mcc.mean()
    assert np.isclose(summary.mcc["latents"], mine)


def test_a_given_sae_takes_the_place_of_the_chosen_one(done, tmp_path):
    """Its row, file and measures; all others stay."""
    found, model = done.found, entered(done.page["Wrapped"](done.page["module"]), 3)
    given = Placed(random_sae(32, 40, "jumprelu"), Place(1, Site.RESID_PRE))
    rows = _rows(found, "writing", WritingRow)
    before = Located(found.locations, [], rows, [])
    assert at_its_layer(before, given, model, 0.02).locations.writing.layer == 0
    types = {"saes": SaeRow, "descriptions": DescriptionRow, "splices": SpliceRow}
    types |= {"stability": StabilityRow}
    studied = Studied(**{name: _rows(found, name, kind) for name, kind in types.items()})
    copy = _copied(found, tmp_path)
    params = Settings.at("tiny", LESS, PARAMS).sae
    new = placed(studied, given, copy, model, params)
    changed = [row for row in new.saes if row not in studied.saes]
    assert [(r.kind, r.activation, r.width, r.place) for r in changed] == [
        ("trained", "jumprelu", 40, "0.resid_post")
    ]
    read = load_sae(copy, "0.resid_post")
    assert torch.equal(read.W_enc, given.sae.W_enc) and read.shape == given.sae.shape
    whole = [row for row in new.descriptions if (row.sae, row.token_class) == ("trained", "all")]
    assert len(whole) == 1 and whole[0] not in studied.descriptions
    assert not [row for row in new.stability if row.place == "0.resid_post"]


def test_connections_may_be_read_after_the_last_block(done, tmp_path):
    copy = _copied(done.found, tmp_path)
    written = copy.locations.writing
    Locations(Location(1, TokenClass.C2), written).save(copy.folder("locations"))
    assert copy.locations == Locations(Location(1, TokenClass.C2), written)


def _rows(found, name, kind):
    return [kind(*row) for row in found.table(name).itertuples(index=False, name=None)]


def _copied(found, to) -> Study:
    import shutil
    from dataclasses import replace

    shutil.copytree(found.artifacts, to / "copy")
    return replace(found, artifacts=to / "copy")


@pytest.mark.parametrize(
    ("sae", "says"),
    [
        (Placed(random_sae(31, 40), Place(0, Site.RESID_POST)), r"d_model 32, found 31\.$"),
        (Placed(random_sae(32, 40), Place(1, Site.RESID_POST)), r"found one at '1.resid_post'\.$"),
        (Placed(random_sae(32, 40), Place(0, Site.RESID_PRE)), r"found one at '0.resid_pre'\.$"),
        (Placed(random_sae(32, 40), Place(0, Site.MLP_OUT)), r"found one at '0.mlp_out'\.$"),
    ],
)
def test_an_sae_where_edits_have_no_effect_is_refused(sae, says, done):
    model = entered(done.page["Wrapped"](done.page["module"]), 3)
    with pytest.raises(BadInput, match=says):
        at_its_layer(Located(done.found.locations, [], [], []), sae, model, 0.02)


def test_the_code_about_saes_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sae = random_sae(32, 40, "topk")
    export_sae(sae, Origin("mine", Place(0, Site.RESID_POST), "trained"), Path("exported/sae"))
    linear = torch.nn.Linear
    dictionary = type("AutoEncoder", (torch.nn.Module,), {})()
    dictionary.bias = torch.nn.Parameter(torch.ones(32))
    dictionary.encoder, dictionary.decoder = linear(32, 40), linear(40, 32, bias=False)
    page = {"Options": Options, "dictionary": dictionary}
    exec(CODE[1], page)
    assert page["placed"].place == Place(0, Site.RESID_POST)
    assert isinstance(page["options"].sae.sae, SparseAutoencoder)
    torch.save(dictionary.state_dict(), "ae.pt")
    exec(CODE[2], page)
    Path("config.json").write_text('{"trainer": {"dict_class": "AutoEncoder"}}')
    again, x = foreign_dictionary(Path.cwd()), torch.randn(5, 32)
    assert torch.equal(again(x), page["sae"](x))


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path):
    settings = Settings.at("tiny", None, PARAMS)
    known, order = wanderer("learned"), list(range(20))

    def tried(model=None, mazes=SETS, **further):
        model = model or Outside(known, order)
        study(model, mazes, tmp_path / "new", settings, Options(**further))

    short = Outside(known, order)
    short.n_ctx = 40
    for says, kwargs in {
        r"^mazes: expected some of .* found none of 'test'\.$": {
            "mazes": {k: v for k, v in SETS.items() if k != "test"}
        },
        r"^model: expected a context of at least \d+ tokens.* found 40": {"model": short},
        r"^names: expected the texts of 20 tokens, found 3\.$": {"names": ["a", "b", "c"]},
        r"^name: expected one that a folder can have, found 'a/b'\.$": {"name": "a/b"},
        r"train\.parquet: ": {"mazes": tmp_path / "none"},
    }.items():
        with pytest.raises(BadInput, match=says):
            tried(**kwargs)
    assert not list(tmp_path.iterdir())
    (tmp_path / "new").write_text("mine")
    with pytest.raises(BadInput, match=r"new: exists already; expected a new name\.$"):
        tried()
    assert (tmp_path / "new").read_text() == "mine"


def test_settings_that_do_not_fit_are_refused():
    for says, changes in {
        r"^changes: expected sections of .* found 'circuits'\.$": {"circuits": {}},
        r"^changes: sae\.widths: ": {"sae": {"widths": []}},
        r"^changes: sae\.wide: unknown key": {"sae": {"wide": 3}},
    }.items():
        with pytest.raises(BadInput, match=says):
            Settings.at("tiny", changes, PARAMS)
    with pytest.raises(BadInput, match=r"scale: expected one of .* found 'huge'\.$"):
        Settings.at("huge", None, PARAMS)
    assert Settings.at("tiny", LESS, PARAMS).sae.widths == [32]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["model", "new", "--scale", "huge"], "scale: expected one of"),
        (["model", "new", "--sae", "none"], "cfg.json: the file is missing"),
    ],
)
def test_the_command_refuses_in_one_sentence(tmp_path, monkeypatch, capsys, words, says):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS.read_text())
    monkeypatch.setattr(sys, "argv", ["mazewm.elsewhere", *words])
    with pytest.raises(SystemExit) as end:
        program.run(app)
    text = "".join(capsys.readouterr())
    assert end.value.code == 1 and text.startswith("error: ") and says in text
    assert text.count("\n") == 1 and not Path("new").exists()


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"study\.json: the file is missing"):
        opened(tmp_path)
    (tmp_path / "study.json").write_text("[]")
    with pytest.raises(BadInput, match=r"study\.json: expected a name and a seed, found \[\]\.$"):
        opened(tmp_path)


def test_names_of_the_tokens_are_those_of_the_page():
    assert (len(Vocabulary(3)), Vocabulary(3).max_length) == (20, 67)
