"""What a visitor has chosen: a maze in the prompt, the way that is asked for, and connections that
are changed inside the model. Every choice gives a new ``Scene``.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from mazewm.counterfactuals.pairs import corridors
from mazewm.interventions.edits import RANDOM, TOLD
from mazewm.io.errors import BadInput
from mazewm.maze.maze import Maze
from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import routes

# how connections are changed; TOLD changes the prompt, for comparison
METHODS = ("latents", "mean_difference", RANDOM, TOLD)
SPLITS = ("test", "validation", "train", "overload")
CORRIDORS = (4, 3, 2, 1)  # connections, the longest first


@dataclass(frozen=True)
class Scene:
    """All that determines an answer of the model."""

    maze: Maze  # in the prompt, with the question
    changed: tuple[int, ...] = ()  # connections that are changed inside the model, in this order
    method: str = METHODS[0]
    n_units: int = 0  # latents of each connection; 0: as many as was best
    strength: float = 1.0  # times the best dose

    @property
    def added(self) -> Int[np.ndarray, " n"]:
        """The changed connections that the prompt does not have."""
        return np.array([e for e in self.changed if not self.maze.bits[e]], int)

    @property
    def removed(self) -> Int[np.ndarray, " n"]:
        """The changed connections that the prompt has."""
        return np.array([e for e in self.changed if self.maze.bits[e]], int)

    @property
    def edited(self) -> Maze:
        """The maze that the model is to believe in."""
        bits = self.maze.bits.copy()
        bits[list(self.changed)] ^= True
        return replace(self.maze, bits=bits)

    def toggle(self, connection: int) -> "Scene":
        """Change a connection inside the model, or leave it as the prompt says."""
        rest = tuple(e for e in self.changed if e != connection)
        return replace(
            self, changed=rest if connection in self.changed else (*self.changed, connection)
        )

    def redraw(self, connection: int) -> "Scene":
        """Add a connection to the prompt, or remove it. It is then not changed inside. BadInput
        if the prompt would be left without any."""
        bits = self.maze.bits.copy()
        bits[connection] ^= True
        if not bits.any():
            raise BadInput("The maze in the prompt needs at least one connection.")
        changed = tuple(e for e in self.changed if e != connection)
        return replace(self, maze=replace(self.maze, bits=bits), changed=changed)

    def move(self, end: str, cell: int) -> "Scene":
        """Move ``origin`` or ``target`` to a cell. Where the other one is, they change places."""
        there = divmod(cell, self.maze.grid.n)
        origin, target = self.maze.origin, self.maze.target
        if end == "origin":
            origin, target = there, origin if there == target else target
        else:
            origin, target = target if there == origin else origin, there
        return replace(self, maze=replace(self.maze, origin=origin, target=target))

    def corridor(self, rng: np.random.Generator) -> "Scene":
        """The longest of CORRIDORS, from a cell of the maze through cells that the prompt does
        not mention, to be added inside the model; the way to its end is asked for. BadInput if the
        maze leaves no room for one."""
        maze = self.maze
        for k in CORRIDORS:
            found = corridors(as_batch(maze), rng, k, 1)
            if len(found):
                target = divmod(int(found.end[0]), maze.grid.n)
                origin = _farthest(replace(self, changed=tuple(found.added[0].tolist())), target)
                return replace(
                    self,
                    maze=replace(maze, origin=origin, target=target),
                    changed=tuple(found.added[0].tolist()),
                )
        raise BadInput("The maze mentions every cell, so there is no room for a new corridor.")


def as_batch(maze: Maze) -> Mazes:
    """One maze as a batch, even if it has no shortest path or several, with the path that it has
    or else only the origin."""
    path = [maze.number(cell) for cell in maze.path or (maze.origin,)]
    return Mazes(
        maze.grid,
        np.array([-1]),
        np.array(["drawn"]),
        maze.bits[None],
        np.array([maze.number(maze.origin)]),
        np.array([maze.number(maze.target)]),
        np.array([path], np.int16),
    )


def _farthest(scene: Scene, target: tuple[int, int]) -> tuple[int, int]:
    """The mentioned cell with the longest unique way to a target in the edited maze."""
    grid, edited = scene.maze.grid, scene.edited
    ways, to = routes(grid, edited.bits[None]), edited.number(target)
    mentioned = np.zeros(grid.n_cells, bool)
    mentioned[grid.ends[scene.maze.bits].ravel()] = True
    steps = np.where(mentioned & ways.is_unique[0, to], ways.distance[0, to], -1)
    return divmod(int(steps.argmax()), grid.n)
