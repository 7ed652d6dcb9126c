"""Mazes with forks, drawn by hand."""

from toys import draw

COMB = draw("""
    O-o-o
      |
    o-o-o
        |
    o-o-T
""")

ISLAND = draw("""
    O-o-o
        |
    o-o o
        |
    o o-T
""")

CROSSROADS = draw("""
    o-O-o
      |
    o-o-o
        |
    o-o-T
""")
