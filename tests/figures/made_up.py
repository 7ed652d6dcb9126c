"""Small made-up tables of two runs that are alike, for the figures that put runs side by side."""

from functools import cache

import numpy as np
import pandas as pd
from planted import SITE, knockout_rows, run_tables, writing_rows
from planted_runs import geometries, numbers

from mazewm.claims.comparison import Compared
from mazewm.claims.run import score_run

RUNS = ("learned-0", "rotary-0")


def ov_norms():
    rng = np.random.default_rng(0)
    places = [(layer, head, cell) for layer in (0, 1) for head in (0, 1) for cell in range(9)]
    rows = pd.DataFrame(places, columns=["layer", "head", "cell"])
    return rows.assign(norm=rng.random(len(rows)))


def cosines(path="heads+embedding"):
    rng = np.random.default_rng(0)
    rows = [
        (str(SITE), path, e, other, rng.uniform(-1, 1)) for e in range(12) for other in range(12)
    ]
    return pd.DataFrame(rows, columns=["site", "path", "connection", "latent_of", "cosine"])


def history(names=RUNS):
    rows = [(name, 5 * n, n, 2 / (1 + n), n / 10) for name in names for n in range(2)]
    return pd.DataFrame(rows, columns=["run", "step", "n_mazes", "loss_path", "solved"])


def writing(names=RUNS):
    return of_both_runs(writing_rows(), names)


def formation(names=RUNS):
    rows = [
        (name, step, layer, c, 0.3 + step / 10)
        for name in names
        for step in (0, 5)
        for layer in (0, 1)
        for c in ("c1", "<-->", "c2", ";")
    ]
    return pd.DataFrame(
        rows, columns=["run", "step", "layer", "token_class", "probe_accuracy"]
    ).assign(n_mazes=53)


def of_both_runs(rows, names=RUNS):
    return pd.concat([rows.assign(run=name) for name in names], ignore_index=True)


def curve(name, names=RUNS):
    """One of the tables by which runs are compared."""
    return compared(names).curves[name]


@cache
def scored():
    return score_run(run_tables(knockouts=knockout_rows({})), 0.5)


def claims_table():
    return of_both_runs(pd.DataFrame([one.as_json() | {"id": one.id} for one in scored().claims]))


@cache
def compared(names=RUNS):
    """What ``compare`` makes of runs that are alike."""
    one = scored()
    curves = {
        name: pd.concat([rows.assign(run=run) for run in names], ignore_index=True)
        for name, rows in one.curves.items()
    }
    made = {"history": history, "formation": formation, "writing": writing}
    curves |= {name: of(names) for name, of in made.items()}
    own = {claim.id: claim.as_json() for claim in one.claims}
    found = numbers(objectives=("all", "path"))
    alike = geometries(found, 0.5)
    return Compared({}, {"runs": dict.fromkeys(names, own)}, curves, 0.5, found, alike)


HEADS = {(0, 0): 0.9, (0, 1): 0.1, (1, 0): 0.2, (1, 1): 0.2}
KNOCKED = {"0.0": (0.9, 0.1), "binding": (0.9, 0.1), "others": (0.2, 0.0)}
