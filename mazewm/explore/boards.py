"""The two boards as SVG: the prompt with the path that the model walks without a change, and what
it believes with the change, with the path that it then walks.

Clickable parts have ``data-e`` (a connection) or ``data-cell``. What is drawn before what: floor,
connections, marks, path, ends, and the invisible parts that take clicks.
"""

from collections.abc import Iterable

import numpy as np

from mazewm.explore.answers import Answer
from mazewm.explore.scene import METHODS as CHANGING
from mazewm.explore.scene import Scene
from mazewm.figures.style import BLACK, GREEN, METHODS, VERMILION
from mazewm.interventions.edits import NONE
from mazewm.maze.lattice import Lattice
from mazewm.maze.maze import Cell

PITCH, MARGIN, WIDE = 64, 40, 30  # pixels of the viewBox
FLOOR, DOT, DARK = "#C3CAD5", "#98A2B1", "#1F2630"
SECONDS = 0.22  # of the animation, for each step


def prompt_board(scene: Scene, answer: Answer | None, cursor: int | None = None) -> str:
    """The maze of the prompt. ``cursor`` is the cell that the keyboard is at, if any; without an
    answer no path is drawn."""
    grid, there = scene.maze.grid, np.flatnonzero(scene.maze.bits)
    parts = [_line(grid, int(e), "white", WIDE) for e in there]
    parts += _dots(grid)
    if answer:
        parts += _path(answer.before.path, METHODS[NONE].colour)
    return _board(scene, parts, cursor, "the maze in the prompt")


def inside_board(scene: Scene, answer: Answer | None, cursor: int | None = None) -> str:
    """What the model believes, the brighter the more; changed connections; what it believes
    against the changed maze; and its path."""
    grid, edited, parts = scene.maze.grid, scene.edited, list[str]()
    if answer:
        found = answer.believed
        least = np.where(edited.bits[found.connection], 2, 1)
        wrong = (found.n_straight >= least) != edited.bits[found.connection]
        for e, belief in zip(found.connection, found.belief, strict=True):
            parts.append(_line(grid, int(e), "white", WIDE, opacity=float(belief)))
        for e, n_straight in zip(found.connection[wrong], found.n_straight[wrong], strict=True):
            dash = ("2 5", "9 5", "none")[int(n_straight)]
            parts.append(_line(grid, int(e), VERMILION, 3, dash=dash, aside=11))
    for e in scene.added:
        parts += [_line(grid, int(e), GREEN, 3.5, dash="4 3", aside=one) for one in (-18, 18)]
    parts += [_cross(grid, int(e)) for e in scene.removed]
    parts += _dots(grid)
    if answer:
        colour = METHODS[scene.method if scene.changed else NONE].colour
        parts += _path(answer.after.path, colour)
    return _board(scene, parts, cursor, "what the model believes")


def _at(cell: Cell) -> tuple[float, float]:
    return MARGIN + PITCH * cell[1], MARGIN + PITCH * cell[0]


def _dots(grid: Lattice) -> list[str]:
    cells = (_at(divmod(cell, grid.n)) for cell in range(grid.n_cells))
    return [f'<circle cx="{x}" cy="{y}" r="4" fill="{DOT}"/>' for x, y in cells]


def _ends(grid: Lattice, e: int) -> tuple[tuple[float, float], tuple[float, float]]:
    a, b = (_at(divmod(int(cell), grid.n)) for cell in grid.ends[e])
    return a, b


def _line(
    grid: Lattice,
    e: int,
    colour: str,
    width: float,
    opacity: float = 1.0,
    dash: str = "none",
    aside: float = 0.0,
) -> str:
    """A connection, moved to its side by some pixels."""
    (x1, y1), (x2, y2) = _ends(grid, e)
    dx, dy = (0.0, aside) if y1 == y2 else (aside, 0.0)
    return (
        f'<line x1="{x1 + dx}" y1="{y1 + dy}" x2="{x2 + dx}" y2="{y2 + dy}" stroke="{colour}" '
        f'stroke-width="{width}" stroke-linecap="{"round" if dash == "none" else "butt"}" '
        f'stroke-dasharray="{dash}" opacity="{opacity:.3f}"/>'
    )


def _cross(grid: Lattice, e: int) -> str:
    (x1, y1), (x2, y2) = _ends(grid, e)
    x, y, r = (x1 + x2) / 2, (y1 + y2) / 2, 9
    return (
        f'<path d="M{x - r},{y - r} L{x + r},{y + r} M{x - r},{y + r} L{x + r},{y - r}" '
        f'stroke="{VERMILION}" stroke-width="4" fill="none"/>'
    )


def _path(path: Iterable[Cell], colour: str) -> list[str]:
    """A path that is walked once, from its first cell to its last."""
    at = [_at(cell) for cell in path]
    if len(at) < 2:
        return []
    points = " ".join(f"{x},{y}" for x, y in at)
    way = "M" + " L".join(f"{x},{y}" for x, y in at)
    seconds = SECONDS * (len(at) - 1)
    lines = [
        f'<polyline class="walked" points="{points}" pathLength="100" fill="none" '
        f'stroke="{one}" stroke-width="{width}" stroke-linejoin="round" stroke-linecap="round" '
        f'style="animation-duration:{seconds:.2f}s"/>'
        for one, width in ((DARK, 11), (colour, 7))
    ]
    walker = (
        f'<circle class="walker" r="9" fill="{colour}" stroke="{DARK}" stroke-width="2.5">'
        f'<animateMotion dur="{seconds:.2f}s" fill="freeze" path="{way}"/></circle>'
    )
    return [*lines, walker]


def _board(scene: Scene, parts: list[str], cursor: int | None, name: str) -> str:
    maze, grid = scene.maze, scene.maze.grid
    size = PITCH * (grid.n - 1) + 2 * MARGIN
    cells = [divmod(cell, grid.n) for cell in range(grid.n_cells)]
    ends = []
    for letter, cell, fill, ink in (
        ("S", maze.origin, "white", BLACK),
        ("T", maze.target, BLACK, "white"),
    ):
        x, y = _at(cell)
        ends.append(
            f'<circle cx="{x}" cy="{y}" r="13" fill="{fill}" stroke="{BLACK}" stroke-width="2.5"/>'
            f'<text x="{x}" y="{y + 5.5}" text-anchor="middle" font-size="16" font-weight="700" '
            f'fill="{ink}">{letter}</text>'
        )
    hits = []
    for e in range(grid.n_connections):
        (x1, y1), (x2, y2) = _ends(grid, e)
        dx, dy = ((x2 - x1) * 0.27, -WIDE / 2) if y1 == y2 else (-WIDE / 2, (y2 - y1) * 0.27)
        hits.append(
            f'<rect class="hit" data-e="{e}" x="{x1 + dx}" y="{y1 + dy}" '
            f'width="{x2 - x1 - 2 * dx}" height="{y2 - y1 - 2 * dy}">'
            f"<title>{grid.name(e)}</title></rect>"
        )
    for number, cell in enumerate(cells):
        x, y = _at(cell)
        hits.append(
            f'<circle class="hit" data-cell="{number}" cx="{x}" cy="{y}" r="16">'
            f"<title>cell ({cell[0]},{cell[1]})</title></circle>"
        )
    ring = []
    if cursor is not None:
        x, y = _at(cells[cursor])
        ring = [
            f'<circle class="cursor" cx="{x}" cy="{y}" r="19" fill="none" stroke="{DARK}" '
            'stroke-width="3" stroke-dasharray="5 3"/>'
        ]
    return (
        f'<svg viewBox="0 0 {size} {size}" role="img" aria-label="{name}">'
        f'<rect width="{size}" height="{size}" rx="14" fill="{FLOOR}"/>'
        + "".join([*parts, *ends, *ring, *hits])
        + "</svg>"
    )


def legend() -> str:
    """What the marks of the boards mean."""
    paths = {NONE: "path, unchanged"} | {
        method: f"path, {METHODS[method].label}" for method in CHANGING
    }
    line = '<line x1="0" y1="6" x2="26" y2="6" stroke="{}" stroke-width="{}"/>'
    marks = {
        "connection; on the right, the brighter the more it is believed": (
            f'<rect width="26" height="12" fill="{FLOOR}"/>' + line.format("white", 8)
        ),
        "added": "".join(
            f'<line x1="0" y1="{y}" x2="26" y2="{y}" stroke="{GREEN}" stroke-width="3" '
            'stroke-dasharray="4 3"/>'
            for y in (2, 10)
        ),
        "removed": (f'<path d="M8,1 L18,11 M8,11 L18,1" stroke="{VERMILION}" stroke-width="3"/>'),
        "believed, but a wall of the changed maze (dashed: from one side only)": line.format(
            VERMILION, 3
        ),
        "not believed, but a connection of it": (
            f'<line x1="0" y1="6" x2="26" y2="6" stroke="{VERMILION}" stroke-width="3" '
            'stroke-dasharray="2 5"/>'
        ),
        **{
            said: line.format(DARK, 9) + line.format(METHODS[method].colour, 5)
            for method, said in paths.items()
        },
    }
    return "".join(
        f'<span><svg viewBox="0 0 26 12" aria-hidden="true">{mark}</svg>{said}</span>'
        for said, mark in marks.items()
    )
