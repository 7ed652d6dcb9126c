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
from mazewm.figures.style import save, use_style


def draw_comparison(folder: Path, compared: Compared) -> None:
    """Draw all figures that compare runs into ``folder``, as PNG."""
    matplotlib.use("Agg")
    use_style()
    curves = compared.curves
    table = pd.DataFrame(
        [
            one | {"run": run, "id": id}
            for run, some in compared.claims["runs"].items()
            for id, one in some.items()
        ]
    )
    figures: dict[str, Callable[[], Figure]] = {
        "training": lambda: runs.training(curves["history"]),
        "consolidation": lambda: runs.consolidation(curves["consolidation"]),
        "formation": lambda: runs.formation(curves["formation"], curves["history"]),
        "writing": lambda: runs.writing(curves["writing"]),
        "patching": lambda: patching.patching(curves["patching"]),
        "frontier": lambda: saes.frontier(curves["frontier"]),
        "taxonomy": lambda: saes.taxonomy(curves["taxonomy"]),
        "architectures": lambda: architectures.architectures(curves["architectures"]),
        "early_late": lambda: saes.early_late(curves["positions"]),
        "edits_by_dose": lambda: edits.by_dose(curves["doses"]),
        "claims": lambda: verdicts.claims(table),
        "W1_world": lambda: world.world(curves["answers"], curves["beliefs"], curves["spellings"]),
        "W1_robustness": lambda: world.robustness(curves["detours"], curves["states"]),
        "C1_readouts": lambda: claims.readouts(curves["singles"], curves["features"]),
        "C2_binding": lambda: paths.binding(curves["binding"]),
        "C2_path": lambda: paths.graph(curves["edges"]),
        "C2_frame": lambda: frame.frame(curves["whole"], curves["frame"]),
        "C2_own_mass": lambda: claims.own_mass(curves["attention"], compared.threshold),
        "C3_readers": lambda: readers.readers(curves["readers"]),
        "C3_predictions": lambda: readers.predictions(curves["predictions"]),
        "C3_knock_outs": lambda: claims.knock_outs(curves["knockouts"]),
        "C4_edits": lambda: edits.edits(curves["edits"]),
        "C5_asymmetry": lambda: edits.asymmetry(curves["doses"]),
        "C6_capacity": lambda: capacity.capacity(curves["corridors"], curves["held"]),
        "C7_code": lambda: code.code(compared.code),
        "C7_geometry": lambda: code.geometry(compared.similarities, compared.code),
        "C10_objectives": lambda: code.objectives(compared.code),
        "C8abc_probes": lambda: planning.probes(curves["beyond"]),
        "C8_steps": lambda: planning.steps(curves["steps"]),
        "C8d_steering": lambda: planning.steering(curves["steering"]),
    }
    for name, draw in figures.items():
        save(draw(), folder / f"{name}.png")
