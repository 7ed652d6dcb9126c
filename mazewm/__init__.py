"""mazewm: how small transformers that solve mazes represent the maze, and whether they use that
representation.

``mazewm.load("rotary-all-0")`` gives a trained transformer with everything measured on it;
``mazewm.Maze`` is one maze, ``mazewm.Run`` names a run without loading it.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, load="loaded", Maze="maze.maze", Run="run", BadInput="io.errors")
