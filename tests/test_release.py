"""Released results: pushed, replaced and pulled back in a small project; what `make repro` does
after that; and the release in this repository.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_cells import NOTEBOOK
from released_toy import TOY, change, clone, made, outs_of, repro

from mazewm.io.errors import BadInput
from stages import cards, fill_docs, pull, release, released
from stages.imports import ROOT
from stages.needed import Needed, needed

# of a library that dvc uses
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """In a folder whose name is not a plain word."""
    return made(tmp_path / "größere Welt", monkeypatch)


def test_released_results_come_back_and_repro_needs_nothing(project, tmp_path, monkeypatch):
    release.release()
    monkeypatch.chdir(clone(project, tmp_path / "clone"))
    pull.main()
    there = {out for out in outs_of(TOY) if Path(out).exists()}
    assert there == {"weights", "observed", "sites", "saes", "scores"}
    assert Path("saes/value.txt").read_text() == "saes 1"
    assert needed() == Needed(set(), ["snapshots", "activations"])
    before = released.stored()
    assert release.release() > 0 and released.stored() == before, "what is missing is not needed"
    change(fit=2)
    assert needed() == Needed({"record", "fit", "score"}, ["snapshots"]), "nothing is trained again"
    with pytest.raises(BadInput, match=r"found 3 stages that are not \(fit first\)"):
        release.release()
    change(observe=2)
    assert needed() == Needed({"train", "observe", "score"}, ["activations"])
    change(score=2)
    assert needed() == Needed({"score"}, ["snapshots", "activations"])
    shutil.rmtree("saes")
    assert needed() is None, "what is released is lost: that is for DVC"
    repro()
    assert needed() is None, "nothing is lost: that is for DVC"


def test_a_release_replaces_the_one_before(project):
    release.release()
    before = set(released.stored())
    assert len(before) == 5 + 5 + 1, "of each out its list and its value; one file is all the same"
    change(fit=2)
    repro()
    release.release()
    after = set(released.stored())
    assert len(after) == len(before) and len(after - before) == 2
    assert release.release() > 0 and set(released.stored()) == after, "once more: no change"


def test_what_is_out_of_date_or_too_large_is_not_released(project, monkeypatch):
    release.release()
    before = released.stored()
    change(fit=2)
    with pytest.raises(BadInput, match=r"^dvc status: expected [^\n]+ found 1 [^\n]*\(fit first\)"):
        release.release()
    change()
    monkeypatch.setattr(released, "MOST_BYTES", 10)
    with pytest.raises(BadInput, match=r"^released: expected at most 0\.0 MB [^\n]+ found 0"):
        release.release()
    assert released.stored() == before


def test_a_spoilt_release_is_refused(project, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="the folder is missing; expected released results"):
        pull.main()
    release.release()
    from dvc.repo import Repo

    with Repo(".") as repo:
        outs = released.released_outs(repo)
    assert not list(released.faults(outs))
    saes = next(out for out in outs if out.path == "saes")
    [value] = [path for path in released.stored().values() if path.read_text() == "saes 1"]
    kept = value.read_bytes()
    value.chmod(0o644)
    value.write_text("something else")
    assert "expected content with the hash" in " ".join(released.faults(outs))
    value.unlink()
    [said] = released.faults(outs)
    assert "the object is missing" in said
    monkeypatch.chdir(clone(project, tmp_path / "clone"))
    with pytest.raises(BadInput, match="the object is missing; expected every one"):
        pull.main()
    assert not Path("saes").exists()
    monkeypatch.chdir(project)
    value.write_bytes(kept)
    other = value.with_name("0" * 30)
    other.write_text("of an earlier release")
    [said] = released.faults(outs)
    assert said.endswith("found another.")
    other.unlink()
    released.object_file(saes.md5).unlink()
    with pytest.raises(BadInput, match="expected the list of the files of saes"):
        list(released.faults(outs))


def test_a_card_tells_the_figures_of_its_run():
    made, [first, *_] = cards.cards(ROOT), fill_docs.results(ROOT / "metrics")["runs"]
    solved = first.metrics["behaviour"]["test"]["solved"]
    line = f"| held-out mazes solved | {fill_docs.interval(solved)} | {solved['n']} |"
    assert line in made[first.name] and f'mazewm.load("{first.name}")' in made[first.name]
    template = (ROOT / fill_docs.TEMPLATES / cards.TEMPLATE).read_text()
    assert "%" not in fill_docs_free(template).replace("95 %", ""), "a figure is typed"


def fill_docs_free(template: str) -> str:
    """The text of a template outside of what is filled in."""
    return re.sub(r"\{[{%#].*?[}%#]\}", "", template, flags=re.DOTALL)


@pytest.fixture(scope="module")
def ours():
    """The released outs of this repository, as dvc.lock names them."""
    if not (ROOT / released.OBJECTS).is_dir():
        pytest.skip("nothing is released in this copy of the project")
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        return [
            released.Out(out.def_path, out.hash_info.value)
            for stage in repo.index.stages
            for out in stage.outs
            if released.is_released(out)
        ]


def test_our_release_is_what_the_lock_file_names(ours):
    assert not list(released.faults(ours, ROOT / released.OBJECTS))


def test_our_cards_are_what_their_template_gives(ours):
    there = {path.stem: path.read_text() for path in (ROOT / released.CARDS).iterdir()}
    assert there == cards.cards(ROOT), "python -m stages.release writes them"


def test_a_clone_pulls_and_then_runs_the_ten_lines_and_the_notebook(ours, tmp_path):
    """What README promises, without running any stage."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("this copy of the project is not a git repository")
    for name in set(listed.stdout.split("\0")) - {""}:
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    python = [sys.executable, "-W", "ignore"]

    def run(*words: str) -> str:
        done = subprocess.run([*python, *words], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    run("-m", "dvc", "config", "--local", "core.no_scm", "true")
    run("-m", "stages.pull")
    lines = (ROOT / fill_docs.TEMPLATES / "ten_lines.py").read_text()
    assert run("-c", lines) == (ROOT / fill_docs.TEMPLATES / "ten_lines.txt").read_text()
    assert " follow" in run("-c", NOTEBOOK)
