"""Families of mazes, and the data sets (splits and overload set) drawn from them."""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, generate="draw", MazeParams="draw")
