"""All pictures of one run."""

from pathlib import Path

import matplotlib
import pandas as pd

from mazewm.consolidation import PAPER_SITE
from mazewm.figures import circuits, interventions
from mazewm.figures.style import save, use_style
from mazewm.maze.mazes import Mazes
from mazewm.scores.effects import chosen
from mazewm.scores.run import RunTables


def draw_run(folder: Path, run: RunTables, dose: pd.DataFrame, traced: dict[str, pd.DataFrame], held_out: Mazes) -> None:
    """Draw the figures of one run into ``folder``."""
    matplotlib.use("Agg")
    use_style()
    found = str(run.site)
    save(circuits.own_mass(traced["attention"]), folder / "own_mass.png")
    save(circuits.ov_norms(traced["ov_norms"]), folder / "ov_norms.png")
    save(circuits.consistency(traced["ov_consistency"], traced["ov_cosines"], found), folder / "ov_consistency.png")
    save(circuits.knockouts(traced["knockouts"], list(dict.fromkeys([found, str(PAPER_SITE)]))), folder / "knockouts.png")
    save(interventions.dose_curves(dose, found), folder / "dose_curves.png")
    effect = chosen(run.ledger, "add", found, "latents")
    ledger = run.ledger
    one = ledger[
        (ledger.kind == "add") & (ledger.site == found) & (ledger.method == "latents") & (ledger.split == "test") & ledger.solved_before
    ]
    one = one[(one["where"] == effect.where) & (one.n_latents == effect.n_latents) & (one.dose == effect.dose)]
    examples = one.drop_duplicates("connection").sort_values("example")
    setting = f"{effect.n_latents} latents at {effect.where}, dose {effect.dose:g}"
    caption = (
        f"{min(10, len(examples))} held-out mazes that the model solves unedited; one connection (green, dotted) added: {setting}\n"
        "grey: the path of the maze as spelled; blue: the path that the model took; dot: origin; square: target"
    )
    save(interventions.example_mazes(held_out, examples, caption), folder / "example_mazes.png")
