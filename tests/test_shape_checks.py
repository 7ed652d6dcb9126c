"""Shapes are checked while tests run."""

import numpy as np
import pytest

from mazewm.claims.statistics import wilson
from mazewm.maze.lattice import lattice
from mazewm.maze.truths import openable


def test_a_wrong_type_or_shape_is_refused():
    for wrong in (lambda: wilson("1", 2), lambda: openable(lattice(3), np.zeros(12))):
        with pytest.raises(TypeError, match="(?i)type-check"):
            wrong()
