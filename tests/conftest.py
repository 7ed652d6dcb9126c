"""What all tests share: the order of files, and torch counts on one thread."""

import os

import pytest
import torch

# Before pytest installs its hooks, so that those of ``stages`` do not take their place and what is
# raised where nobody can catch it still fails a test.
import stages  # noqa: F401

# Tests are about the CPU, also where there is an accelerator; those that ask for CUDA say so
# themselves.
os.environ.setdefault("MAZEWM_DEVICE", "cpu")


# The longest files, begun first and in this order: none of them is still going when all others are
# done, and the run that test_walk.py makes is there when others want it.
LONGEST = (
    "test_walk.py",
    "test_cluster.py",
    "test_paper_scale.py",
    "test_studying.py",
    "test_trust.py",
    "test_transcripts.py",
    "test_launch.py",
    "test_release.py",
    "test_worktrees.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: nth for nth, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(LONGEST)))


@pytest.fixture(autouse=True)
def one_thread():
    """Leave torch's global settings as the next test expects them."""
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="module")
def style():
    """Figures in the house style, without a screen; all are closed afterwards."""
    import matplotlib
    import matplotlib.pyplot as plt

    from mazewm.figures.style import use_style

    matplotlib.use("Agg")
    with matplotlib.rc_context():
        use_style()
        yield
    plt.close("all")
