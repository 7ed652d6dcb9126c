"""Made-up ledgers of interventions, in which what every method does is planted.

Of N_AFFECTED affected questions about each pair a planted share takes the predicted path, and of
N_UNAFFECTED others a planted share changes; the shares of single pairs lie around these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from mazewm.interventions.ledger import LedgerRow, PairRow
from mazewm.interventions.params import InterventionParams
from mazewm.localize.locations import LIST_END, WritingSite
from mazewm.maze.tokens import TokenClass

WRITING = WritingSite(0, ("c1", LIST_END), TokenClass.C2)
PLACE = "0.resid_post"
TOKENS = {
    "site": "c1 and <ADJLIST_END>",
    "own": "own c2",
    "one": "one c2",
    "dealt": "c1 and <ADJLIST_END>, dealt",
}
USUAL = {"add": "site", "move": "site", "remove": "own", "corridor": "dealt", "single": "dealt"}
N_PAIRS, N_AFFECTED, N_UNAFFECTED = 20, 10, 20
SIZES, DOSES = (1, 3), (1.0, 2.0)
FEW, MOST = 4, 7  # connections in short prompts, and in the longest of training
PARAMS = InterventionParams(
    n_per_connection=1,
    n_per_connection_validation=1,
    set_sizes=list(SIZES),
    doses=list(DOSES),
    corridor_lengths=[1, 2],
    n_added=[0, 1, 2],
    n_at_once=5,
    batch_size=5,
    n_threads=1,
)

# method and number of units: hit and spill of twins, at the best dose
METHODS: dict[tuple[str, int], tuple[float, float]] = {
    ("latents", 1): (0.8, 0.05),
    ("latents", 3): (0.9, 0.1),
    ("frozen_decoder", 1): (0.2, 0.1),
    ("frozen_decoder", 3): (0.3, 0.1),
    ("untrained_model", 1): (0.1, 0.1),
    ("untrained_model", 3): (0.2, 0.1),
    ("residual_dimensions", 1): (0.2, 0.1),
    ("residual_dimensions", 3): (0.4, 0.1),
    ("mean_difference", 0): (0.9, 0.0),
    ("probe_direction", 0): (0.3, 0.1),
    ("probe_pattern", 0): (0.8, 0.1),
    ("random_direction", 0): (0.1, 0.1),
    ("other_connection", 3): (0.05, 0.1),
    ("none", 0): (0.0, 0.0),
    ("tokens", 0): (1.0, 0.0),
}
MOVES = {(method, n): METHODS[method, n] for method, n in (("latents", 1), ("latents", 3))} | {
    ("mean_difference", 0): (0.9, 0.1),
    ("add_only", 1): (0.3, 0.1),
    ("remove_only", 1): (0.2, 0.1),
    ("add_and_random", 1): (0.4, 0.1),
    ("random_direction", 0): (0.1, 0.1),
    ("none", 0): (0.0, 0.0),
    ("tokens", 0): (1.0, 0.0),
}
# share of ways through a corridor on the longest prompts, and on short ones
CORRIDORS = {
    ("latents", 3): (0.8, 0.8),
    ("mean_difference", 0): (0.7, 0.7),
    ("random_direction", 0): (0.1, 0.1),
    ("tokens", 0): (0.3, 0.9),
    ("none", 0): (0.0, 0.0),
}
UNDOSED = ("none", "tokens")


def around(share: float, n: int, n_pairs: int = N_PAIRS) -> np.ndarray:
    """A count of n for each pair, whose mean is the share up to rounding, some more and some less
    than that; other pairs for other shares."""
    phase = (np.arange(n_pairs) * 7 % n_pairs + 0.5) / n_pairs
    room = int(min(2, share * n, n - share * n))
    wave = np.roll(np.resize([1, -1, 0, 0], n_pairs), int(100 * share))
    return np.floor(share * n + phase).astype(int).clip(0, n) + room * wave


def rows(
    method: str,
    n_units: int = 0,
    hit: float = 0.0,
    spill: float = 0.0,
    kind: str = "add",
    k: int = 1,
    dose: float = 1.0,
    split: str = "test",
    where: str | None = None,
    sets: Sequence[int] | None = None,
    n_pairs: int = N_PAIRS,
    **columns: object,
) -> pd.DataFrame:
    """One condition; ``sets`` are the pairs' connection sets, and ``columns`` replace others."""
    is_dosed = method not in UNDOSED
    hits, spills = around(hit, N_AFFECTED, n_pairs), around(spill, N_UNAFFECTED, n_pairs)
    zero = np.zeros(n_pairs, int)
    values = dict.fromkeys((field.name for field in fields(LedgerRow)), zero) | {
        "split": split,
        "kind": kind,
        "k": k,
        "n_connections": MOST - 1,
        "pair": np.arange(n_pairs),
        "maze_id": np.arange(n_pairs),
        "method": method,
        "n_units": n_units,
        "place": PLACE if is_dosed else "",
        "tokens": TOKENS[where or USUAL[kind]] if is_dosed else "",
        "dose": dose if is_dosed else float(method == "tokens"),
        "length": 3.0 * dose if is_dosed else 0.0,
        "n_affected": N_AFFECTED,
        "n_hit": hits,
        "n_affected_first": N_AFFECTED // 2,
        "n_hit_first": hits // 2,
        "n_affected_telling": N_AFFECTED,
        "n_hit_telling": hits,
        "n_unaffected": N_UNAFFECTED,
        "n_spill": spills,
        "n_edited": 1,
        "n_edited_believed": around(hit, 1, n_pairs),
        "n_others": 10,
        "n_others_open": 5,
        "n_others_kept": 5,
        "n_others_false": 0,
    }
    made = pd.DataFrame(values | columns)
    return made.assign(connection_set=np.arange(n_pairs) if sets is None else sets)


def twins(kind: str, rates: Mapping[tuple[str, int], tuple[float, float]]) -> pd.DataFrame:
    """All methods on test mazes at both doses, and on validation mazes, where dose 2 is best. At
    dose 1 half of it happens. Away from its own token nothing is removed."""
    parts = []
    for (method, n), (hit, spill) in rates.items():
        if method in UNDOSED:
            parts.append(rows(method, n, hit, spill, kind))
            continue
        wheres = {USUAL[kind]: 1.0}
        if method in ("latents", "mean_difference") and kind == "remove":
            wheres["site"] = 0.0
        for where, share in wheres.items():
            for split in ("validation", "test"):
                for dose, part in zip(DOSES, (0.5, 1.0), strict=True):
                    parts.append(
                        rows(method, n, share * part * hit, share * part * spill, kind,
                             dose=dose, split=split, where=where)
                    )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def moves(rates: Mapping[tuple[str, int], tuple[float, float]] = MOVES) -> pd.DataFrame:
    """All methods that move, at one dose."""
    parts = [rows(*key, *rate, kind="move", dose=2.0) for key, rate in rates.items()]
    return pd.concat(parts, ignore_index=True)


def corridors(
    rates: Mapping[tuple[str, int], tuple[float, float]] = CORRIDORS, ks: Sequence[int] = (1, 2, 3)
) -> pd.DataFrame:
    """Corridors of some lengths in the longest prompts (the first half of the pairs) and in short
    ones."""
    parts = []
    is_long = np.arange(N_PAIRS) < N_PAIRS // 2
    for key, (beyond, within) in rates.items():
        half = N_PAIRS // 2
        hits = np.concatenate([around(share, N_AFFECTED, half) for share in (beyond, within)])
        columns = {"n_hit": hits, "n_connections": np.where(is_long, MOST, FEW), "n_unaffected": 0}
        parts += [
            rows(*key, kind="corridor", k=k, split=split, dose=2.0, **columns)
            for k in ks
            for split in (("test",) if key[0] in UNDOSED else ("validation", "test"))
        ]
    return pd.concat(parts, ignore_index=True)


def singles(
    believed: Mapping[tuple[str, int], float] | None = None, ks: Sequence[int] = (0, 2, 4)
) -> pd.DataFrame:
    """k connections added to the longest prompts, of which a share is believed; all of the prompt
    are kept, and none of five walls is believed."""
    shares = believed or {("latents", 3): 0.9, ("random_direction", 0): 0.1, ("none", 0): 0.0}
    parts = []
    for key, share in shares.items():
        for k in ks:
            if k == 0 and key[0] not in UNDOSED:
                continue
            columns = {"n_edited": k, "n_edited_believed": around(share, k), "n_others_open": MOST}
            columns |= {"n_others_kept": MOST, "n_connections": MOST, "n_others": MOST + 5}
            parts += [
                rows(*key, kind="single", k=k, split=split, dose=2.0, **columns)
                for split in (("test",) if key[0] in UNDOSED else ("validation", "test"))
            ]
    return pd.concat(parts, ignore_index=True)


def ledger(
    add: Mapping[tuple[str, int], tuple[float, float]] | None = None,
    remove: Mapping[tuple[str, int], tuple[float, float]] | None = None,
) -> pd.DataFrame:
    """A whole ledger; ``add`` and ``remove`` replace some of METHODS. Removing does three quarters
    of what adding does, but for random pushes, which do as much."""
    less = {key: (0.75 * hit, 0.75 * spill) for key, (hit, spill) in METHODS.items()}
    less |= {key: METHODS[key] for key in (("tokens", 0), ("random_direction", 0))}
    parts = [twins("add", METHODS | (add or {})), twins("remove", less | (remove or {}))]
    return pd.concat([*parts, moves(), corridors(), singles()], ignore_index=True)


def pairs(
    book: pd.DataFrame, blind: float = 0.1, near: float = 0.2, spill: float = 0.0
) -> pd.DataFrame:
    """The pairs of a ledger, with what the walkers do about the questions; both spill alike."""
    keys = ["split", "kind", "k", "pair", "maze_id", "connection_set"]
    counts = ["n_affected", "n_unaffected"]
    found = book[[*keys, *counts]].drop_duplicates(keys).reset_index(drop=True)
    counted = {"n_questions": 40, "n_unique": 36, "n_solved": 33, "n_told": 31, "end": -1}
    found = found.assign(**counted, blind=blind * found.n_affected, near=near * found.n_affected)
    found["blind_spill"] = found["near_spill"] = spill * found.n_unaffected
    lists = {name: [np.zeros(0, int)] * len(found) for name in ("connections", "added", "removed")}
    found = found.assign(**lists)
    assert {field.name for field in fields(PairRow)} < set(found.columns)
    return found
