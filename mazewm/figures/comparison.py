"""All figures that compare runs: their training, and at least one for each claim."""

from collections.abc import Callable
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from mazewm.claims.comparison import Compared
from mazewm.figures import (
    architectures,
    capacity,
    claims,
    code,
    edits,
    frame,
    patching,
    paths,
    planning,
    readers,
    runs,
    saes,
    verdicts,
    world,
)
from mazewm.figures.style import first_seeds, save, use_style


def draw_comparison(folder: Path, compared: Compared) -> None:
    """Draw all figures that compare runs into ``folder``, as PNG. Those in which every run would
    have a place of its own show one seed of each recipe, the first that has data, and say so."""
    matplotlib.use("Agg")
    use_style()
    curves, runs_there = compared.curves, list(compared.claims["runs"])
    of_one = {name: rows[rows.run.isin(first_seeds(rows.run))] for name, rows in curves.items()}
    table = pd.DataFrame(
        [
            one | {"run": run, "id": id}
            for run, some in compared.claims["runs"].items()
            for id, one in some.items()
        ]
    )
    of_every_run: dict[str, Callable[[], Figure]] = {
        "training": lambda: runs.training(curves["history"]),
        "claims": lambda: verdicts.claims(table),
        "W1_world": lambda: world.world(curves["answers"], curves["beliefs"], curves["spellings"]),
        "W1_robustness": lambda: world.robustness(curves["detours"], curves["states"]),
        "C1_readouts": lambda: claims.readouts(curves["singles"], curves["features"]),
        "C7_code": lambda: code.code(compared.code),
        "C7_geometry": lambda: code.geometry(compared.similarities, compared.code),
        "C10_objectives": lambda: code.objectives(compared.code),
        "C8abc_probes": lambda: planning.probes(curves["beyond"]),
    }
    with_places: dict[str, Callable[[], Figure]] = {
        "consolidation": lambda: runs.consolidation(of_one["consolidation"]),
        "formation": lambda: runs.formation(of_one["formation"], of_one["history"]),
        "writing": lambda: runs.writing(of_one["writing"]),
        "patching": lambda: patching.patching(of_one["patching"]),
        "frontier": lambda: saes.frontier(of_one["frontier"]),
        "taxonomy": lambda: saes.taxonomy(of_one["taxonomy"]),
        "architectures": lambda: architectures.architectures(of_one["architectures"]),
        "early_late": lambda: saes.early_late(of_one["positions"]),
        "edits_by_dose": lambda: edits.by_dose(of_one["doses"]),
        "C2_binding": lambda: paths.binding(of_one["binding"]),
        "C2_path": lambda: paths.graph(of_one["edges"]),
        "C2_frame": lambda: frame.frame(of_one["whole"], of_one["frame"]),
        "C2_own_mass": lambda: claims.own_mass(of_one["attention"], compared.threshold),
        "C3_readers": lambda: readers.readers(of_one["readers"]),
        "C3_predictions": lambda: readers.predictions(of_one["predictions"]),
        "C3_knock_outs": lambda: claims.knock_outs(of_one["knockouts"]),
        "C4_edits": lambda: edits.edits(of_one["edits"]),
        "C5_asymmetry": lambda: edits.asymmetry(of_one["doses"]),
        "C6_capacity": lambda: capacity.capacity(of_one["corridors"], of_one["held"]),
        "C8_steps": lambda: planning.steps(of_one["steps"]),
        "C8d_steering": lambda: planning.steering(of_one["steering"]),
    }
    for name, draw in of_every_run.items():
        save(draw(), folder / f"{name}.png")
    has_seeds = len(first_seeds(runs_there)) < len(runs_there)
    for name, draw in with_places.items():
        figure = draw()
        if has_seeds:
            title = f"One seed of each recipe; all {len(runs_there)} runs are in the tables"
            figure.suptitle(f"{figure.get_suptitle()}\n{title}".strip())
        save(figure, folder / f"{name}.png")
