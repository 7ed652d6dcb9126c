"""What is known of a site: sets of latents, latents of cells, and supervised directions, by
hand.
"""

import numpy as np
import pandas as pd
import pytest
from planted import SITE, plain_sae, ranked

from mazewm.interventions.directions import cell_gains, directions_at, latent_sets
from mazewm.io.errors import BadInput
from mazewm.localize.activations import Activations
from mazewm.maze.lattice import lattice

GRID = lattice(2)  # connections 0-2, 1-3, 0-1, 2-3, in this order
ROWS = [
    (0, 0, 5, 1.0, 0.0),  # the best by F1, though others gain more
    (0, 1, 6, 2.0, 1.5),
    (0, 2, 7, 9.0, 1.0),
    (0, 3, 8, 4.0, 0.0),
    (2, 0, 1, 3.0, 0.0),
    (2, 1, 2, 2.0, 0.0),
    (2, 2, 3, 1.0, 0.0),
]
NO_GAIN = np.zeros((4, 11))


def test_a_set_is_the_best_latent_and_then_those_that_gain_most():
    found = latent_sets(ranked(ROWS), NO_GAIN, GRID, 3)
    assert found.ids.tolist() == [[5, 7, 8], [0, 0, 0], [1, 2, 3], [0, 0, 0]], (
        "never seen stays zero"
    )
    assert found.mean_on.tolist() == [[1, 9, 4], [0, 0, 0], [3, 2, 1], [0, 0, 0]]
    assert latent_sets(ranked(ROWS), NO_GAIN, GRID, 1).ids[:, 0].tolist() == [5, 0, 1, 0]


def test_more_latents_than_were_ranked_are_refused():
    with pytest.raises(
        BadInput,
        match=r"params.yaml: interventions.set_sizes: .* at most 3, .*features.n_candidates.* 4\.",
    ):
        latent_sets(ranked(ROWS), NO_GAIN, GRID, 4)


def test_latents_of_cells_are_the_best_that_are_not_the_connections_own():
    gain = np.zeros((4, 11))
    gain[0, [5, 7, 9, 2]] = 4, 3, 2, 1  # 5 and 7 are connection 0's own
    gain[2, [8, 10, 9]] = 9, 5, 1
    found = latent_sets(ranked(ROWS), gain, GRID, 2)
    assert found.of_cells[0].tolist() == [9, 2, 8, 10], "two of cell 0, two of cell 2"
    assert found.of_cells[2, :2].tolist() == [5, 7] and not set(found.of_cells[2]) & {1, 2}


def test_gain_of_a_cell_is_the_mean_where_it_is_touched_less_that_elsewhere():
    latents = np.array([[1.0, 0], [3, 0], [8, 2], [0, 6]], np.float32)
    gains = cell_gains(latents, np.array([0, 0, 2, 3]), GRID)
    assert np.allclose(gains[0], [4 - 0, 2 / 3 - 6]), "connections 0 and 2"
    assert np.allclose(gains[1], [8 - 4 / 3, 2 - 2]), "connections 1 and 2"
    assert np.allclose(gains[2], [4 / 3 - 8, 2 - 2])
    assert (cell_gains(latents, np.array([0, 0, 0, 2]), GRID)[0] == 0).all(), "no token elsewhere"


def test_directions_are_measured_on_tokens():
    values = np.array([[2, 0, -1], [4, 0, -1], [0, 1, -1], [0, 0, -1]], np.float16)
    tokens = Activations(
        values, *(np.arange(4),) * 3, np.full(4, "c2", object), np.array([0, 0, 1, 2])
    )
    rows = pd.concat(
        [
            ranked([(0, 0, 1, 1.0, 0.0), (0, 1, 0, 2.0, 0.0)]),
            ranked([(0, 0, 2, 7.0, 0.0)], "elsewhere"),
        ]
    )
    found = directions_at(SITE, True, plain_sae(3), rows, tokens, GRID, [1, 2])
    assert np.allclose(found.density, [0.5, 0.25, 0])
    assert np.allclose(
        found.mean_difference, [[3, -0.5, 0], [-2, 1, 0], [-2, -1 / 3, 0], [0, 0, 0]]
    )
    assert set(found.sets) == {1, 2} and found.sets[2].ids[0].tolist() == [1, 0] and found.is_main
    length = np.linalg.norm(found.mean_difference, axis=1)
    assert np.allclose(np.linalg.norm(found.probe_direction, axis=1), length)
    assert found.probe_direction[0, 0] > 0.9 * length[0] and found.probe_direction[1, 1] > 0


def test_a_dead_sae_is_refused():
    """Nothing could stand in for its latents as a control."""
    tokens = Activations(
        np.full((4, 3), -1, np.float16),
        np.arange(4),
        np.arange(4),
        np.full(4, 11),
        np.full(4, "c2", object),
        np.array([0, 0, 1, 2]),
    )
    rows = ranked([(0, 0, 1, 0.0, 0.0), (1, 0, 0, 0.0, 0.0)])
    with pytest.raises(BadInput, match=rf"^{SITE}: the SAE is dead.*\.$"):
        directions_at(SITE, True, plain_sae(3), rows, tokens, GRID, [1])
