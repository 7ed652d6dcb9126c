"""The pipeline in a git worktree, and twice at once in one folder."""

import copy
import subprocess

import pytest
from launched import Project

FILES = ["dvc.yaml", "params.yaml", "toy.py", ".dvc/config"]


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path / "zwei Bäume")


def git(folder, *words: str) -> None:
    who = ["-c", "user.name=x", "-c", "user.email=x@y"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_a_worktree_is_a_project_of_its_own(project, tmp_path):
    (project.folder / ".dvc/config").write_text("")  # with git, as the repository has it
    git(project.folder, "init", "-q")
    git(project.folder, "add", *FILES)
    git(project.folder, "commit", "-qm", "all")
    git(project.folder, "worktree", "add", "-q", "-b", "other", str(tmp_path / "another tree"))
    tree = copy.copy(project)
    tree.folder = tmp_path / "another tree"
    assert (tree.folder / ".git").is_file()
    tree.launch()
    assert tree.events()[-1] == "end compare all"
    assert (tree.folder / "metrics/claims.json").exists() and (tree.folder / "dvc.lock").exists()
    assert not (project.folder / "dvc.lock").exists() and project.events() == []
    assert "Nothing to do" in tree.launch() and tree.events() == []


@pytest.mark.slow
def test_two_calls_at_once_end_with_what_one_makes(project):
    """DVC locks what a stage writes; a call either makes it, or says in one sentence that another
    does. What is left is whole."""
    both = [project.start("--jobs", "1") for _ in range(2)]
    said = [one.communicate(timeout=300)[0] for one in both]
    codes = [one.returncode for one in both]
    assert 0 in codes and set(codes) <= {0, 1}, said
    assert not any("Traceback" in text for text in said), said
    assert "Nothing to do" in project.launch()
    assert sorted(path.name for path in project.folder.glob("train-*")) == [
        "train-a-0",
        "train-b-0",
    ]
