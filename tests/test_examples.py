"""The examples in docstrings do what they say."""

import doctest
import importlib

import pytest

from stages.imports import ROOT, module_of

WITH_EXAMPLES = [
    module_of(path.relative_to(ROOT))
    for path in sorted((ROOT / "mazewm").rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_in_docstrings(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0 and found.failed == 0
