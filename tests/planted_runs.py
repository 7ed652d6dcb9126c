"""Numbers and geometries of many runs, in which it is planted what encodings and objectives
change."""

import numpy as np
import pandas as pd

from mazewm.claims.comparison import COMPARED
from mazewm.claims.geometry import similarities, table
from mazewm.claims.objectives import ID
from mazewm.run import ENCODINGS

N_SEEDS = 5


def numbers(
    moved: dict[str, dict[str, float]] | None = None,
    encodings: tuple[str, ...] = ENCODINGS,
    objectives: tuple[str, ...] = ("all",),
    n_seeds: int = N_SEEDS,
    seed: int = 0,
) -> pd.DataFrame:
    """Every number of every run: normal around 0, with a standard deviation of 1 over seeds. By
    ``moved`` it is higher, by key and by encoding or objective."""
    rng, moved = np.random.default_rng(seed), moved or {}
    rows = []
    for key, (id, measure) in COMPARED.items():
        for encoding in encodings:
            for objective in objectives:
                more = moved.get(key, {})
                for nth, value in enumerate(rng.standard_normal(n_seeds)):
                    value += more.get(encoding, 0.0) + more.get(objective, 0.0)
                    rows.append((id, key, measure, encoding, objective, nth, value))
    columns = ["id", "key", "measure", "encoding", "objective", "seed", "value"]
    found = pd.DataFrame(rows, columns=columns)
    name = found.encoding + "-" + found.objective + "-" + found.seed.astype(str)
    return found.assign(run=name, low=found.value, high=found.value)


def of_ten(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of C10."""
    return found[found.id == ID]


def geometries(
    found: pd.DataFrame, by_encoding: float, by_embedding: float = 0.0, n: int = 12
) -> pd.DataFrame:
    """The similarities of runs whose directions are sums of a part that all runs share, a part of
    the encoding's own, and noise; ``by_embedding`` is how long the latter is in the embeddings."""
    draw, tables = np.random.default_rng(1), {}
    common = draw.standard_normal((n, 20))
    own = {name: draw.standard_normal((n, 20)) for name in dict.fromkeys(found.encoding)}
    for run, encoding in found.drop_duplicates("run")[["run", "encoding"]].itertuples(index=False):
        rows = [
            {"source": source, "connection": e, "direction": arrow}
            for source, share in (("whole", by_encoding), ("embedding", by_embedding))
            for e, arrow in enumerate(
                (common + share * own[encoding] + 0.5 * draw.standard_normal((n, 20)))
                @ np.linalg.qr(draw.standard_normal((20, 20)))[0]  # a basis of the run's own
            )
        ]
        tables[run] = table(pd.DataFrame(rows))
    return similarities(tables)
