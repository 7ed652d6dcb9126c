"""What all tests share: the toys can be imported, and torch counts on one thread."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def one_thread():
    """Leave torch's global settings as the next test expects them."""
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)
