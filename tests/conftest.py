"""What all tests share: the toys can be imported, and torch counts on one thread."""

import os
import sys
from pathlib import Path

import pytest
import torch

# Tests are about the CPU, also where there is an accelerator; those that ask for CUDA say so
# themselves.
os.environ.setdefault("MAZEWM_DEVICE", "cpu")
sys.path.insert(0, str(Path(__file__).parent))


# The longest files, begun first: where files are shared out, none of them is still going when all
# others are done.
LONGEST = (
    "test_walk.py",
    "test_trust.py",
    "test_cluster.py",
    "test_transcripts.py",
    "test_paper_scale.py",
    "test_studying.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


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
