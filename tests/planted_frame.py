"""Made-up tables of what the tokens after the list hold, in which the truth is planted."""

import numpy as np
import pandas as pd

N_MAZES = 60  # two of each connection set


def whole_rows(readouts: dict[tuple[str, str, int], float], seed: int = 0) -> pd.DataFrame:
    """Rows of ProbeRow with the given explained variance, by readout, token and depth; the same on
    both splits."""
    rng, parts = np.random.default_rng(seed), []
    for split in ("validation", "test"):
        sst = rng.uniform(1, 3, N_MAZES)
        for (readout, token, depth), value in readouts.items():
            maze = np.arange(N_MAZES)
            sse = sst * (1 - value) * rng.uniform(0.9, 1.1, N_MAZES)
            columns = {"split": split, "readout": readout, "token": token, "depth": depth}
            columns |= {"maze_id": maze, "n": 9, "sse": sse, "sst": sst}
            parts.append(pd.DataFrame(columns | {"connection_set": maze // 2}))
    return pd.concat(parts, ignore_index=True)


def holding(model: float, mentions: float, untrained: float) -> pd.DataFrame:
    """A model that is read best at ``<ORIGIN_START>`` after two blocks."""
    return whole_rows(
        {
            ("mentions", "none", -1): mentions - 0.1,
            ("mentions_boosted", "none", -1): mentions,
            ("model", "<ADJLIST_END>", 0): 0.0,
            ("model", "<ADJLIST_END>", 2): model - 0.1,
            ("model", "<ORIGIN_START>", 0): 0.0,
            ("model", "<ORIGIN_START>", 2): model,
            ("untrained_model", "<ADJLIST_END>", 2): untrained,
            ("untrained_model", "<ORIGIN_START>", 2): untrained - 0.05,
        }
    )


def frame_rows(hit: dict[tuple[str, str], float], spill: float = 0.1) -> pd.DataFrame:
    """Rows of FrameRow with the given share of hits by tokens and method, at the dose 2; at the
    dose 1, on validation twins, nothing happens. The blind walker would hit 3 of 10, and spill 1
    of 10."""
    rng, parts = np.random.default_rng(0), []
    for (tokens, method), share in hit.items():
        for split, dose in (("validation", 1.0), ("validation", 2.0), ("test", 2.0)):
            maze = np.arange(N_MAZES)
            does = float(dose == 2.0)
            n_hit = rng.binomial(20, share * does, N_MAZES)
            n_spill = rng.binomial(50, spill * does, N_MAZES)
            columns = {"split": split, "tokens": tokens, "depth": 1, "method": method, "dose": dose}
            columns |= {"maze_id": maze, "connection": maze % 12, "connection_set": maze // 2}
            counts = {"n_affected": 20, "n_hit": n_hit, "n_unaffected": 50, "n_spill": n_spill}
            parts.append(pd.DataFrame(columns | counts | {"blind": 6.0, "blind_spill": 5.0}))
    return pd.concat(parts, ignore_index=True)


def writing(list_end: float, both: float, random: float = 0.05) -> pd.DataFrame:
    """What is hit when a connection is written at the end of the list, and at all tokens."""
    return frame_rows(
        {
            ("list end", "mean_difference"): list_end,
            ("list end", "random_direction"): random,
            ("frame", "mean_difference"): both,
            ("frame", "random_direction"): random,
        }
    )
