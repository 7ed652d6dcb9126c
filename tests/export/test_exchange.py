"""The commands, and the page that shows how to load what they write: it is run as it stands."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from export.planted_export import CLOSE, planted_run
from planted import SITE

from mazewm.export import models
from mazewm.export.__main__ import app
from mazewm.inference import edits
from mazewm.io import program
from mazewm.maze.tokens import Vocabulary
from mazewm.sae.files import load_sae
from stages.imports import ROOT

# the libraries warn of their own deprecations
pytestmark = pytest.mark.filterwarnings("ignore::Warning")
PAGE = (ROOT / "docs" / "exchange.md").read_text().split("\n## In\n")[0]  # the way out
RUN = "rotary-all-0"  # of the page


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The run that the page names, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return planted_run(Path("artifacts"), RUN.split("-")[0])


def call(monkeypatch, capsys, *words: str) -> tuple[int, str]:
    """The exit code of the program in this process, and what it printed."""
    monkeypatch.setattr(sys, "argv", ["mazewm.export", *words])
    with pytest.raises(SystemExit) as end:
        program.run(app)
    out, error = capsys.readouterr()
    return int(end.value.code or 0), out + error


def commands() -> list[list[str]]:
    """The page's commands, without ``python -m mazewm.export``."""
    lines = [shlex.split(line) for block in blocks("sh") for line in block.splitlines()]
    assert all(words[:3] == ["python", "-m", "mazewm.export"] for words in lines)
    return [words[3:] for words in lines]


def test_the_page_gives_the_values_of_mazewm(run, monkeypatch, capsys):
    for library in ("transformer_lens", "sae_lens", "maze_dataset"):
        reason = f"{library}, an optional peer, is not installed or does not import"
        pytest.importorskip(library, reason=reason, exc_type=ImportError)
    for words in commands():
        assert call(monkeypatch, capsys, *words)[0] == 0
    page: dict = {}
    for block in blocks("python"):
        exec(block, page)
    tokens, vocabulary = page["tokens"], Vocabulary(3)
    maze = run.mazes("test")[0]
    text = " ".join(f"({row},{col})" for row, col in maze.path)
    assert vocabulary.text(tokens[0].numpy()).endswith(f"<PATH_START> {text} <PATH_END>")
    ours = edits.run(run.model, tokens, record=[SITE.place])
    latents = load_sae(run, SITE.place).encode(ours.values[SITE.place])
    assert page["logits"].shape == ours.logits.shape and page["latents"].shape == latents.shape
    assert float((page["logits"] - ours.logits).abs().max()) < CLOSE < float(ours.logits.std())
    assert float((page["latents"] - latents).abs().max()) < CLOSE < float(latents.std())


def test_the_page_has_every_command_and_every_hook():
    assert [words[0] for words in commands()] == ["transformer-lens", "sae-lens", "maze-dataset"]
    assert all(f"`{hook}`" in PAGE for hook in models.HOOKS.values())
    assert all(f"`{site}`" in PAGE for site in models.HOOKS)


def test_the_first_two_commands_need_no_other_library(run, monkeypatch, capsys):
    for library in ("transformer_lens", "sae_lens", "maze_dataset"):
        monkeypatch.setitem(sys.modules, library, None)
    found = [call(monkeypatch, capsys, *words) for words in commands()]
    assert [code for code, _ in found] == [0, 0, 1]
    assert "maze-dataset: not installed" in found[2][1]
    assert sorted(path.name for path in Path("exported").iterdir()) == ["model", "sae"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["transformer-lens", "learned-0", "new"], "run: expected ENCODING-OBJECTIVE-SEED"),
        (["transformer-lens", "learned-all-0", "new"], "expected the run learned-all-0"),
        (["transformer-lens", RUN, "artifacts"], "artifacts: exists already"),
        (["transformer-lens", RUN, "file/new"], "file/new: cannot be written"),
        (["sae-lens", RUN, "new", "--place", "7.z"], "place: expected LAYER.SITE with LAYER below"),
        (["sae-lens", RUN, "new", "--place", "1.mlp_out"], "expected one of the places"),
        (["sae-lens", RUN, "new", "--kind", "seed_3"], "expected one of the kinds"),
        (["maze-dataset", "dev", "new.zanj"], "dev.parquet: the file is missing"),
        (["maze-dataset", "test", "new"], "ends with .zanj"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(run, monkeypatch, capsys, words, says):
    Path("file").write_text("mine")
    before = sorted(Path().rglob("*"))
    code, text = call(monkeypatch, capsys, *words)
    assert code == 1 and text.startswith("error: ") and says in text
    assert text.count("\n") == 1 and text.endswith(".\n")
    assert sorted(Path().rglob("*")) == before


def test_the_kind_and_place_that_are_asked_for_are_written(run, monkeypatch, capsys):
    words = ["sae-lens", RUN, "new", "--place", "0.resid_post", "--kind", "relu"]
    assert call(monkeypatch, capsys, *words) == (0, f"new: the SAE relu of {RUN} at 0.resid_post\n")
    assert '"architecture": "standard"' in Path("new/cfg.json").read_text()
    assert '"mazewm_kind": "relu"' in Path("new/cfg.json").read_text()


def test_help_is_there_without_torch():
    line = [sys.executable, "-X", "importtime", "-m", "mazewm.export", "--help"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and all(words[0] in done.stdout for words in commands())
    assert not re.search(r"\|\s+torch$", done.stderr, re.MULTILINE), "--help imports torch"
