"""mazewm: how small transformers that solve mazes represent the maze, and whether they use that
representation.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, load="loaded", Maze="maze.maze", Run="run", BadInput="io.errors")
