"""Families of mazes, and the splits that are drawn from them."""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, generate="draw", MazeParams="draw")
