"""All figures of one run."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from mazewm import results
from mazewm.claims.effects import at_setting
from mazewm.claims.run import RunTables, Scored
from mazewm.figures import attention, circuits, examples, interventions, patching
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
        "dose_curves": lambda: interventions.dose_curves(
            scored.curves["interventions"], str(tables.writing_site)
        ),
        "example_mazes": lambda: examples.example_mazes(
            *examples_of(tables, scored, results.table(run, "examples"))
        ),
    }
    for title, draw in figures.items():
        save(draw(), folder / f"{title}.png")


def examples_of(tables: RunTables, scored: Scored, mazes: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Test examples of each kind that are solved before the edit, under the reported setting of
    latents, chosen by ``examples.choose`` and joined with ``mazes`` (the table "examples"); and a
    caption."""
    site, ledger = str(tables.writing_site), tables.ledger
    parts, settings = [], []
    for kind in examples.KINDS:
        if kind not in scored.reported:
            continue
        one = scored.reported[kind].latents
        rows = ledger[
            (ledger.kind == kind)
            & (ledger.site == site)
            & (ledger.method == one.method)
            & (ledger.split == "test")
        ]
        parts.append(
            examples.choose(
                rows[rows.solved_before & at_setting(rows, one.where, one.n_latents, one.dose)]
            )
        )
        settings.append(f"{kind} {one.n_latents} latents at {one.where}, dose {one.dose:g}")
    joined = pd.concat(parts).merge(mazes.drop(columns="maze_id"), on=["split", "kind", "example"])
    return joined, f"Held-out mazes that the model solves unedited; {examples.RULE}\n" + "; ".join(
        settings
    )
