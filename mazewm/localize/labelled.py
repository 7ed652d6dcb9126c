"""What a model holds at the tokens of one class, each with the connection that it helps to
encode."""

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


def labelled_at(subject: Subject, location: Location) -> Labelled:
    """All tokens of the subject's mazes at a location."""
    parts = list[Labelled]()
    for recorded in subject.record([location.place]):
        at = connection_positions(recorded.encoded.n_connections, location.token_class)
        values = recorded.values[location.place][:, at].flatten(0, 1).float().cpu().numpy()
        n_mazes = len(recorded.mazes)
        position, maze = np.tile(at, n_mazes), np.repeat(recorded.mazes, len(at))
        parts.append(Labelled(values, recorded.encoded.order.ravel(), position, maze))
    return Labelled(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
