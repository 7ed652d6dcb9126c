"""The directions of connections from all tokens and from parts of them."""

import numpy as np
import pandas as pd
import pytest
from circuits import planted_circuit as toy

from mazewm.circuits.directions import directions_at
from mazewm.inference.subject import Subject
from mazewm.localize.locations import Location
from mazewm.localize.writing import arrows_of
from mazewm.maze.tokens import SPECIALS, TokenClass

C2 = Location(0, TokenClass.C2)


@pytest.fixture(scope="module")
def subject():
    return Subject(toy.planted(), toy.trees(97), 0, 17)


@pytest.fixture(scope="module")
def found(subject):
    rows = directions_at(subject, C2, "validation")
    table = pd.DataFrame([vars(row) for row in rows])
    return {
        source: np.stack(part.sort_values("connection").direction)
        for source, part in table.groupby("source")
    }


def test_all_tokens_give_the_mean_difference(subject, found):
    assert found["whole"] == pytest.approx(arrows_of(subject, [C2])[C2], abs=1e-5)


def test_embeddings_are_the_sums_of_two_cells(subject, found):
    cells = subject.model.W_E.detach().numpy()[len(SPECIALS) :]
    a, b = subject.mazes.grid.ends[5]
    assert found["embedding"][5] == pytest.approx(cells[a] + cells[b], abs=1e-6)


def test_halves_are_of_mazes_and_parts_of_positions(subject, found):
    """The mean difference over the even mazes alone is that of the first half."""
    values, labels, places, mazes = [], [], [], []
    for recorded in subject.record([C2.place]):
        lists = recorded.encoded
        for maze, order, resid in zip(
            recorded.mazes, lists.order, recorded.values[C2.place].numpy(), strict=True
        ):
            for nth, e in enumerate(order):
                values.append(resid[4 * nth + 3])
                labels.append(e)
                places.append(4 * nth + 3)
                mazes.append(maze)
    x, e, place, maze = map(np.array, (values, labels, places, mazes))
    for source, some in {
        "first half": maze % 2 == 0,
        "second half": maze % 2 == 1,
        "early": place <= np.median(place),
        "late": place > np.median(place),
    }.items():
        on, off = x[some & (e == 5)], x[some & (e != 5)]
        assert found[source][5] == pytest.approx(on.mean(axis=0) - off.mean(axis=0), abs=1e-4)


def test_a_connection_that_no_token_encodes_has_no_direction(subject):
    """Of one maze with its connections, no others."""
    one = Subject(subject.model, subject.mazes[:1], 0, 17)
    rows = directions_at(one, C2, "validation")
    own = set(np.flatnonzero(subject.mazes.connections[0]).tolist())
    assert {row.connection for row in rows} == own
    assert {row.source for row in rows} >= {"whole", "embedding"}
