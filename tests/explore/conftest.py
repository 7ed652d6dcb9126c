"""One run for all tests of the explorer."""

import pytest
from explore.planted_explorer import planted

from mazewm.explore.answers import Explorer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("artifacts"))


@pytest.fixture
def explorer(run):
    return Explorer(run)
