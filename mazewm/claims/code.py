"""How one run encodes connections, as the numbers by which encodings and objectives are compared
(docs/science.md#how-the-code-is-compared). What heads bring, and which heads, is compared at the
same tokens and the same depth of every run; latents and directions, where each run is read.

A number that a run does not have is left out, and the run does not count for it.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from mazewm.circuits.binding import COMPARED
from mazewm.circuits.directions import HALVES, PARTS
from mazewm.claims import geometry
from mazewm.claims.circuits import by_heads
from mazewm.claims.edits import selectivity
from mazewm.claims.statistics import Contrast, Ratio, contrast, estimate, rounded
from mazewm.claims.trees import MOST_UNITS, latents_of_all
from mazewm.localize.locations import Location
from mazewm.localize.selectivity import COUNTS, selectivities
from mazewm.maze.tokens import TokenClass

# Names of the tokens in keys of metrics.
KEYS = {TokenClass.CONNECTOR: "connector", TokenClass.C2: "c2", TokenClass.DELIMITER: "delimiter"}
BOUND = {token: f"brought_to_{KEYS[token]}" for token in COMPARED}
AT_DELIMITER = "share_at_delimiter"
Numbers = dict[str, dict[str, float]]


def where_bound(binding: pd.DataFrame, layer: int) -> Numbers:
    """At each of COMPARED after a block: what heads bring there of a connection's projection on its
    mean difference, in units of the latter's length, with the whole projection beside it; of what
    they bring to all of them, the share at ``;``; and what all but the binding heads bring, as a
    share of the same.

    The whole projection is near 1 where the token holds the connection. Where it does not, it is
    noise around 0, so that a share of it would say nothing. Nothing is brought to a token without
    rows: the change does not reach it."""
    wide = {token: by_heads(binding, str(Location(layer, token))) for token in COMPARED}
    known = {token: rows for token, rows in wide.items() if len(rows)}
    if not known:
        return {}
    index = pd.concat(list(known.values())).index.unique()
    clusters = index.get_level_values("connection_set")
    full, brought, others = (
        {token: values.reindex(index).fillna(0.0) for token, values in parts.items()}
        for parts in (
            {token: rows["none"] for token, rows in known.items()},
            {token: rows["none"] - rows["all"] for token, rows in known.items()},
            {token: rows["none"] - rows["others"] for token, rows in known.items()},
        )
    )
    found = Numbers()
    for token, key in BOUND.items():
        if token in known:
            one = contrast([Ratio(brought[token], np.ones(len(index)))], [], clusters)
            found[key] = one.interval.as_metrics()
            found[f"projection_{KEYS[token]}"] = {"value": rounded(full[token].mean())}
        else:
            found[key] = {"value": 0.0}
    in_all = sum(brought.values())
    at_delimiter = brought.get(TokenClass.DELIMITER, 0.0 * in_all)
    found |= _if_measured(AT_DELIMITER, contrast([Ratio(at_delimiter, in_all)], [], clusters))
    lost = contrast([Ratio(sum(others.values()), in_all)], [], clusters)
    return found | _if_measured("lost_by_others", lost)


def _if_measured(name: str, one: Contrast) -> Numbers:
    """A number with its interval; without one where there is no spread, and none without data."""
    if one.n:
        return {name: one.interval.as_metrics()}
    return {name: {"value": rounded(one.value)}} if one.n_clusters else {}


def which_heads(heads: pd.DataFrame, layer: int) -> Numbers:
    """How many heads bind at any of COMPARED after a block, and in which block they are on
    average."""
    sites = [str(Location(layer, token)) for token in COMPARED]
    rows = heads[(heads.kind == "binding") & heads.site.isin(sites)]
    own = rows[["layer", "head"]].drop_duplicates()
    found: Numbers = {"binding_heads": {"value": float(len(own))}}
    return found | ({"their_block": {"value": rounded(own.layer.mean())}} if len(own) else {})


def where_written(writing: pd.DataFrame, layer: int) -> Numbers:
    """The highest selectivity at one token class (or the end of the list) as a share of the highest
    at any set of tokens, on validation twins; and the block after which connections are read."""
    best = selectivities(writing).groupby("tokens").selectivity.max()
    found: Numbers = {"read_block": {"value": float(layer)}}
    single = best[[" and " not in name for name in best.index]]
    if len(single) and best.max() > 0:
        found["single_share"] = {"value": rounded(max(0.0, single.max()) / best.max())}
    return found


def carried(positions: pd.DataFrame, site: str) -> Numbers:
    """F1 of the latents chosen in one half of the prompt, in the other half, as a share of that in
    their own half (docs/science.md#transfer); its interval is over connections."""
    mine = positions[positions.site == site].set_index(["connection", "found_on"])
    is_same = mine.index.get_level_values("found_on") == mine.measured_on.to_numpy()
    both = pd.DataFrame({"own": mine[is_same].f1, "other": mine[~is_same].f1}).dropna()
    of = both.index.get_level_values("connection")
    return _if_measured("f1_carried", contrast([Ratio(both.other, both.own)], [], of))


def edits_carried(carried: pd.DataFrame) -> Numbers:
    """The selectivity of directions from the other half of the prompt as a share of that of
    directions from the half where they are written, both halves together, on test twins
    (docs/science.md#transfer)."""
    test = carried[carried.split == "test"]
    is_own = test.written_at == test.found_at
    keys = ["written_at", "maze_id", "connection"]
    own, other = (test[some].set_index(keys).sort_index() for some in (is_own, ~is_own))
    if own.empty or not own.n_affected.sum():
        return {}
    _, cluster = np.unique(own.connection_set, return_inverse=True)
    columns = [rows[name].to_numpy(float) for rows in (other, own) for name in COUNTS]
    sums = np.stack([np.bincount(cluster, weights=each) for each in columns], axis=1)
    return _if_measured("edits_carried", estimate(sums, _share_carried))


def _share_carried(sums: Float[np.ndarray, "draw count"]) -> Float[np.ndarray, " draw"]:
    """The first selectivity as a share of the second, from sums of COUNTS of both."""
    affected, hit, unaffected, spill = (sums[:, nth::4] for nth in range(4))
    found = hit / affected - spill / np.maximum(unaffected, 1)
    share: Float[np.ndarray, " draw"] = found[:, 0] / found[:, 1]
    return share


def carried_curve(carried: pd.DataFrame) -> pd.DataFrame:
    """The selectivity on test twins by the half where is written, and the half that the direction
    is from, with its interval."""
    keys, rows = ["written_at", "found_at", "dose"], list[dict[str, object]]()
    for key, mine in carried[carried.split == "test"].groupby(keys):
        rows.append(dict(zip(keys, key, strict=True)) | selectivity(mine).interval._asdict())
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "n"])


def geometry_of(directions: pd.DataFrame) -> Numbers:
    """The cosine of a connection's directions from early and late tokens; beside it, of two halves
    of the mazes; and the similarity of the geometry with itself."""
    if directions.empty:
        return {}
    found = _if_measured("cosine_early_late", geometry.cosine_between(directions, PARTS))
    found |= _if_measured("cosine_of_halves", geometry.cosine_between(directions, HALVES))
    same = geometry.reliability(directions)
    return found | ({"reliability": {"value": rounded(same)}} if np.isfinite(same) else {})


def latents_needed(features: pd.DataFrame) -> Numbers:
    """The latents per connection, of all connections, with the share that is detected beside it;
    from the trees of the read site's latents."""
    needed = latents_of_all(features)
    numbers = {"latents_needed": needed, "share_detected": (needed <= MOST_UNITS).astype(float)}
    found = Numbers()
    for name, each in numbers.items():
        mean = contrast([Ratio(each, np.ones(len(each)))], [], needed.index)
        found |= _if_measured(name, mean)
    return found
