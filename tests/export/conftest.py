"""A run with each positional encoding in turn."""

import pytest
from export.planted_export import planted_run

from mazewm.run import ENCODINGS


@pytest.fixture(params=ENCODINGS)
def run(request, tmp_path):
    return planted_run(tmp_path / "artifacts", request.param)
