"""All pictures of one run."""

from pathlib import Path

import matplotlib
import pandas as pd

from mazewm.figures import attention, circuits, interventions, patching
from mazewm.figures.style import save, use_style
from mazewm.scores.effects import chosen, chosen_as
from mazewm.scores.run import LIKE, RunTables


def draw_run(
    folder: Path, name: str, run: RunTables, curves: dict[str, pd.DataFrame], traced: dict[str, pd.DataFrame], examples: pd.DataFrame
) -> None:
    """Draw the figures of the run ``name`` into ``folder``; ``examples`` are rows of ExampleRow."""
    matplotlib.use("Agg")
    use_style()
    profile, qk, patches = (table.assign(run=name) for table in (traced["attention"], traced["qk"], traced["patches"]))
    effects = curves["patching"].assign(run=name)
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
        "dose_curves": lambda: interventions.dose_curves(curves["interventions"], str(run.writing_site)),
        "example_mazes": lambda: interventions.example_mazes(*examples_of(run, examples)),
    }
    for title, draw in figures.items():
        save(draw(), folder / f"{title}.png")


def examples_of(run: RunTables, examples: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Solved test examples of each kind under the reported setting of latents, one for each connection, joined with their mazes; and
    a caption."""
    site, ledger = str(run.writing_site), run.ledger
    parts, settings = [], []
    for kind in interventions.KINDS:
        of_kind = ledger[ledger.kind == kind]
        if of_kind.empty:
            continue
        one = chosen(ledger, kind, site, "latents") if kind != "move" else chosen_as(ledger, kind, LIKE.get(kind, "add"), site, "latents")
        rows = of_kind[(of_kind.site == site) & (of_kind.method == "latents") & (of_kind.split == "test") & of_kind.solved_before]
        rows = rows[(rows["where"] == one.where) & (rows.n_latents == one.n_latents) & (rows.dose == one.dose)]
        edited = rows.added.map(tuple) + rows.removed.map(tuple)
        parts.append(rows[~edited.duplicated()].sort_values("example"))
        settings.append(f"{kind} {one.n_latents} latents at {one.where}, dose {one.dose:g}")
    found = pd.concat(parts).merge(examples.drop(columns="maze_id"), on=["split", "kind", "example"])
    return found, "Held-out mazes that the model solves unedited, before and after an edit\n" + "; ".join(settings)
