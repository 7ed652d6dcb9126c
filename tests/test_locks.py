"""Lock files: each, with requirements.lock and torch beside it, names all that its packages need,
so that it can be installed by itself."""

from importlib.metadata import PackageNotFoundError, requires, version

import pytest
from packaging.requirements import Requirement

from stages.dependencies import normal, versions
from stages.imports import ROOT

ALWAYS = ("requirements.lock", "requirements-torch.lock")
# The last is installed with --no-deps: peers whose own requirements exclude one another.
EXTRAS = sorted(
    path.name
    for path in ROOT.glob("requirements-*.lock")
    if path.name not in (*ALWAYS, "requirements-bench.lock")
)


def locked(*names: str) -> dict[str, str]:
    """The versions in some lock files, by normal name."""
    return {name: version for lock in names for name, version in versions(ROOT, lock).items()}


@pytest.mark.parametrize("lock", ["requirements.lock", *EXTRAS])
def test_a_lock_names_all_that_its_packages_need(lock):
    there, looked_at = locked(*ALWAYS, lock), 0
    for name, wanted in locked(lock).items():
        try:
            lines, found = requires(name) or [], version(name).partition("+")[0]
        except PackageNotFoundError:
            continue
        if found != wanted:  # others may need others
            continue
        looked_at += 1
        for needed in map(Requirement, lines):
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert normal(needed.name) in there, f"{name} needs {needed}"
    if not looked_at:
        pytest.skip(f"nothing of {lock} is installed")


def test_locks_agree_on_versions():
    found: dict[str, set[str]] = {}
    for lock in (*ALWAYS, *EXTRAS):
        for name, there in locked(lock).items():
            found.setdefault(name, set()).add(there)
    assert {name: some for name, some in found.items() if len(some) > 1} == {}
