"""All figures of one run."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from mazewm import results
from mazewm.claims.run import RunTables, Scored
from mazewm.figures import attention, believed, circuits, connections, patching
from mazewm.figures.style import save, use_style
from mazewm.run import Run


def draw_run(folder: Path, run: Run, tables: RunTables, scored: Scored) -> None:
    """Draw all figures of a run into ``folder``, as PNG."""
    matplotlib.use("Agg")
    use_style()
    name, consistency = run.name, results.table(run, "ov_consistency")
    profile, qk, patches = (
        results.table(run, table).assign(run=name) for table in ("attention", "qk", "patches")
    )
    pairs, effects = (
        results.table(run, "patch_pairs").assign(run=name),
        scored.curves["patching"].assign(run=name),
    )
    figures: dict[str, Callable[[], Figure]] = {
        "own_mass": lambda: circuits.own_mass(tables.attention),
        "attention_by_offset": lambda: attention.offset_profile(profile),
        "attention_by_position": lambda: attention.position_profile(profile),
        "attention_by_parity": lambda: attention.parity(profile),
        "qk_by_offset": lambda: attention.qk_profile(qk),
        "ov_norms": lambda: circuits.ov_norms(results.table(run, "ov_norms")),
        "ov_consistency": lambda: circuits.consistency(
            consistency, results.table(run, "ov_cosines"), str(tables.site)
        ),
        "knockouts": lambda: circuits.knockouts(
            tables.knockouts, list(dict.fromkeys(tables.sites.values()))
        ),
        "patching": lambda: patching.patching(effects),
        "patching_parts": lambda: patching.patching_parts(effects),
        "attribution": lambda: patching.attribution(pairs, patches),
        "edited_mazes": lambda: believed.edited_mazes(
            tables.pairs, results.table(run, "edited"), scored.shown
        ),
        "connections": lambda: connections.connections(
            scored.curves["connections"], run.mazes("test").grid, name
        ),
        "believed_mazes": lambda: believed.believed_mazes(run.mazes("test"), tables.beliefs),
    }
    for title, draw in figures.items():
        save(draw(), folder / f"{title}.png")
