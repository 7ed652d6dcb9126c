"""What a model holds at the tokens of one class, each with the connection that it helps to
encode."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from mazewm.inference.subject import Subject
from mazewm.localize.locations import Location
from mazewm.maze.tokens import connection_positions


class Labelled(NamedTuple):
    """The residual stream at every token of a class, and their labels."""

    values: Float[np.ndarray, "token d_model"]
    connection: Int[np.ndarray, " token"]
    position: Int[np.ndarray, " token"]
    maze: Int[np.ndarray, " token"]  # by its index


def labelled_at(subject: Subject, locations: Sequence[Location]) -> dict[Location, Labelled]:
    """All tokens of the subject's mazes at each of the locations, which are read in one pass."""
    parts: dict[Location, list[Labelled]] = {location: [] for location in locations}
    for recorded in subject.record({location.place for location in locations}):
        n_mazes, labels = len(recorded.mazes), recorded.encoded.order.ravel()
        for location, found in parts.items():
            at = connection_positions(recorded.encoded.n_connections, location.token_class)
            values = recorded.values[location.place][:, at].flatten(0, 1).float().cpu().numpy()
            position, maze = np.tile(at, n_mazes), np.repeat(recorded.mazes, len(at))
            found.append(Labelled(values, labels, position, maze))
    return {
        location: Labelled(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
        for location, found in parts.items()
    }
