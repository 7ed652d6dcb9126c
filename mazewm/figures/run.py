"""All pictures of one run."""

from pathlib import Path

import matplotlib
import pandas as pd

from mazewm.figures import attention, circuits, interventions, patching
from mazewm.figures.style import save, use_style
from mazewm.scores.effects import at_setting
from mazewm.scores.run import RunTables, Scored


def draw_run(folder: Path, name: str, run: RunTables, scored: Scored, traced: dict[str, pd.DataFrame], examples: pd.DataFrame) -> None:
    """Draw the figures of the run ``name`` into ``folder``; ``examples`` are rows of ExampleRow."""
    matplotlib.use("Agg")
    use_style()
    profile, qk, patches = (table.assign(run=name) for table in (traced["attention"], traced["qk"], traced["patches"]))
    effects = scored.curves["patching"].assign(run=name)
    figures = {
        "own_mass": lambda: circuits.own_mass(traced["attention"]),
        "attention_by_offset": lambda: attention.offset_profile(profile),
        "attention_by_position": lambda: attention.position_profile(profile),
        "attention_by_parity": lambda: attention.parity(profile),
        "qk_by_offset": lambda: attention.qk_profile(qk),
        "ov_norms": lambda: circuits.ov_norms(traced["ov_norms"]),
        "ov_consistency": lambda: circuits.consistency(traced["ov_consistency"], traced["ov_cosines"], str(run.site)),
        "knockouts": lambda: circuits.knockouts(traced["knockouts"], list(dict.fromkeys(run.sites.values()))),
        "patching": lambda: patching.patching(effects),
        "patching_parts": lambda: patching.patching_parts(effects),
        "attribution": lambda: patching.attribution(traced["patch_pairs"].assign(run=name), patches),
        "dose_curves": lambda: interventions.dose_curves(scored.curves["interventions"], str(run.writing_site)),
        "example_mazes": lambda: interventions.example_mazes(*examples_of(run, scored, examples)),
    }
    for title, draw in figures.items():
        save(draw(), folder / f"{title}.png")


def examples_of(run: RunTables, scored: Scored, examples: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Solved test examples of each kind under the reported setting of latents, one for each connection, joined with their mazes; and
    a caption."""
    site, ledger = str(run.writing_site), run.ledger
    parts, settings = [], []
    for kind in interventions.KINDS:
        if kind not in scored.reported:
            continue
        one = scored.reported[kind].latents
        rows = ledger[(ledger.kind == kind) & (ledger.site == site) & (ledger.method == one.method) & (ledger.split == "test")]
        rows = rows[rows.solved_before & at_setting(rows, one.where, one.n_latents, one.dose)]
        edited = rows.added.map(tuple) + rows.removed.map(tuple)
        parts.append(rows[~edited.duplicated()].sort_values("example"))
        settings.append(f"{kind} {one.n_latents} latents at {one.where}, dose {one.dose:g}")
    found = pd.concat(parts).merge(examples.drop(columns="maze_id"), on=["split", "kind", "example"])
    return found, "Held-out mazes that the model solves unedited, before and after an edit\n" + "; ".join(settings)
