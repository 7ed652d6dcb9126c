"""All pictures that put runs side by side."""

from pathlib import Path

import matplotlib
import pandas as pd

from mazewm.figures import runs
from mazewm.figures.style import save, use_style
from mazewm.scores.comparison import COMPARISON, Compared


def draw_comparison(folder: Path, compared: Compared) -> None:
    """Draw the figures of all runs into ``folder``."""
    matplotlib.use("Agg")
    use_style()
    save(runs.training(compared.curves["history"]), folder / "training.png")
    save(runs.consolidation(compared.curves["consolidation"]), folder / "consolidation.png")
    save(runs.formation(compared.curves["formation"]), folder / "formation.png")
    save(runs.readouts(compared.curves["features"]), folder / "readouts.png")
    table = [one | {"run": run, "id": id} for run, some in compared.claims.items() if run != COMPARISON for id, one in some.items()]
    save(runs.claims(pd.DataFrame(table)), folder / "claims.png")
