"""Small tables for scoring: which mazes share their connections, the frontier, the kinds of
latents.
"""

import numpy as np
import pandas as pd
import pytest
from planted import frontier_rows
from toys import HOOK, LADDER, batch

from mazewm.claims import saes
from mazewm.claims.sets import with_connection_sets
from mazewm.io.errors import BadInput

MAZES = batch(HOOK, LADDER)[np.array([0, 1, 0, 1, 1])]


def test_mazes_with_equal_connections_share_a_number():
    ids = np.arange(5) * 3
    mazes = {
        "test": type(MAZES)(
            MAZES.grid, ids, MAZES.family, MAZES.connections, MAZES.origin, MAZES.target, MAZES.path
        )
    }
    rows = pd.DataFrame({"split": "test", "maze_id": [12, 0, 3, 6], "x": [1, 2, 3, 4]})
    found = with_connection_sets(rows, mazes)
    assert found.x.tolist() == [1, 2, 3, 4], "rows stay in order"
    assert (
        found.connection_set[0]
        == found.connection_set[2]
        != found.connection_set[1]
        == found.connection_set[3]
    )


def test_rows_of_other_mazes_are_refused():
    with pytest.raises(BadInput, match="maze 7 of the split 'test'"):
        with_connection_sets(pd.DataFrame({"split": ["test"], "maze_id": [7]}), {"test": MAZES})
    with pytest.raises(BadInput, match="'validation'"):
        with_connection_sets(
            pd.DataFrame({"split": ["validation"], "maze_id": [0]}), {"test": MAZES}
        )


def test_the_frontier_has_a_mean_over_connections():
    [first, _] = saes.frontier(frontier_rows("0.resid_post")).itertuples()
    assert (
        first.mcc == pytest.approx(0.6)
        and 0 < first.mcc_low < 0.6 < first.mcc_high < 1
        and first.n_connections == 2
    )


def test_kinds_are_counted():
    rows = pd.DataFrame(
        {"place": "p", "sae": ["a", "a", "a", "b"], "kind": ["cell", "dead", "cell", "dead"]}
    )
    assert set(saes.kinds(rows).itertuples(index=False, name=None)) == {
        ("p", "a", "cell", 2),
        ("p", "a", "dead", 1),
        ("p", "b", "dead", 1),
    }
