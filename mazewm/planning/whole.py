"""Whether one token after the list holds the whole maze (docs/science.md#whole-maze).

At each token of the *frame* (module ``reading``), none of which is a token of a connection, and at
every depth, a probe for each connection says whether its two cells are connected, in mazes whose
list mentions both: of other cells the answer is known.

The score is the explained variance over all connections and mazes, 1 - SSE / SST, with SST around
the connection's share among the mazes for fitting. Beside it stand an untrained model of the same
architecture, and two readers of how often the list mentions each cell (modules ``mentions`` and
``inputs``), which are fitted on more mazes.
"""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from jaxtyping import Float

from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import touched_cells
from mazewm.planning.errors import Held, Readout
from mazewm.planning.facts import Fact
from mazewm.planning.fitting import fit, mean_differences
from mazewm.planning.reading import FRAME, Seen

CONNECTED = "connected"

Arrows = Mapping[tuple[str, int], Float[np.ndarray, "connection d_model"]]


def connected(mazes: Mazes) -> dict[str, Fact]:
    """Whether two adjacent cells are connected, among those that the list mentions; by name, as
    other facts.

    >>> from mazewm.maze.maze import Maze
    >>> corner = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], (0, 0), (1, 1))
    >>> fact = connected(Mazes.of([corner]))["connected"]
    >>> int(fact.counts.sum()), int(fact.value.sum())
    (2, 2)
    """
    there, ends = touched_cells(mazes.grid, mazes.connections), mazes.grid.ends
    both = there[:, ends[:, 0]] & there[:, ends[:, 1]]
    return {CONNECTED: Fact(CONNECTED, mazes.connections.astype(float), both)}


class WholeProbes:
    """The mazes on which probes are fitted and scored, and the errors so far."""

    def __init__(
        self, fit_mazes: Mazes, held_out: Mapping[str, Mazes], penalties: list[float]
    ) -> None:
        self.known, self.penalties = connected(fit_mazes)[CONNECTED], penalties
        self.held_out = [Held(name, some, connected(some)) for name, some in held_out.items()]
        self.parts = list[pd.DataFrame]()

    def read_model(self, readout: str, seen: Seen) -> Arrows:
        """Fit and score probes at every token and depth; returned are the mean differences there
        between mazes with and without each connection, where both cells are mentioned."""
        arrows, (n_tokens, n_depths) = {}, seen.fitted.shape[:2]
        for nth, depth in product(range(n_tokens), range(n_depths)):
            x = seen.fitted[nth, depth]
            probe, at = fit(x, self.known, self.penalties), (FRAME[nth], depth)
            for held in self.held_out:
                new = seen.held_out[held.split][nth, depth]
                self.parts.append(held.rows(Readout(CONNECTED, *at, readout), new, probe))
            arrows[at] = mean_differences(x, self.known)
        return arrows
