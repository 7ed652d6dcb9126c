"""A figure of every connection by itself."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mazewm.figures.heat import heat_map
from mazewm.figures.style import SEQUENTIAL, WIDTH, empty
from mazewm.maze.lattice import Lattice

COLUMNS = {
    "tree_accuracy": "trees\n(bal. acc.)",
    "best_latent_mcc": "best latent\n(MCC)",
    "cosine_written": "heads write\n(cosine)",
    "add_one_hit": "add,\none latent",
    "add_most_hit": "add, most\nlatents",
    "add_prompt_hit": "add, in\nthe prompt",
    "remove_one_hit": "remove,\none latent",
    "remove_most_hit": "remove, most\nlatents",
    "remove_prompt_hit": "remove, in\nthe prompt",
}


def connections(table: pd.DataFrame, grid: Lattice, run: str) -> Figure:
    """A row for each connection: how well it is detected and written, and the share of affected
    questions that follow adding and removing it. Columns are in the paper's order: features,
    circuits, interventions."""
    if table.empty:
        return empty("no connection was measured")
    values = table[list(COLUMNS)].to_numpy(float)
    text = np.where(np.isnan(values), "", np.vectorize(lambda value: f"{value:.2f}")(values))
    figure, axis = plt.subplots(figsize=(WIDTH, 1.4 + 0.2 * len(table)), layout="constrained")
    image = heat_map(axis, values, text.astype(object), cmap=SEQUENTIAL)
    axis.set_xticks(range(len(COLUMNS)), list(COLUMNS.values()))
    axis.set_yticks(range(len(table)), [grid.name(int(e)) for e in table.connection])
    axis.xaxis.tick_top()
    n = table.add_one_n.dropna()
    figure.colorbar(image, ax=axis, shrink=0.4, aspect=25)
    figure.suptitle(
        f"{run}: every connection by itself  (hits: share of affected questions, "
        f"{int(n.min()) if len(n) else 0} to {int(n.max()) if len(n) else 0} each)"
    )
    return figure
