"""Claim C3c: heads of later blocks read what latents write as they read the connection's own token
(docs/science.md#readers).

What a head reads of a change is what the metric loses without this head, for each pair of mazes.
Two changes are read in the same way if these losses agree over all heads and pairs: their
correlation r is near 1. That some heads read the token at all is shared by any push there, and what
the added connection does to the path by no other connection; so r of a random push, and of what is
written of a third connection, stand beside it.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mazewm.circuits.readers import (
    ALL,
    AT_SITE,
    LATENTS,
    NONE,
    OTHER,
    PROMPT,
    RANDOM,
    TOKEN,
    is_read_right,
    lost,
)
from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.statistics import Contrast, Ratio, contrast, estimate
from mazewm.sae.files import FROZEN


class Readers:
    """What heads read at one site on test mazes: a row for each pair that the model reads right in
    both runs, and for each way to change the run a column for each head."""

    def __init__(self, rows: pd.DataFrame, site: str) -> None:
        mine = rows[(rows.site == site) & (rows.split == "test")]
        keys = ["pair", "connection_set"]
        if mine.empty:
            self.wide, self.heads = pd.DataFrame(), list[str]()
            return
        wide = mine.pivot(index=keys, columns=["written", "heads"], values="metric")
        self.wide = wide[is_read_right(wide)]
        self.heads = [str(name) for name in wide[TOKEN].columns if "." in str(name)]

    @property
    def ways(self) -> list[str]:
        """The ways in which runs are changed."""
        return list(dict.fromkeys(str(way) for way, _ in self.wide.columns))

    @property
    def clusters(self) -> pd.Index:
        """The connection set of every pair."""
        return self.wide.index.get_level_values("connection_set")

    def effect(self, way: str) -> Ratio:
        """What a change does to the metric, as a share of what the prompt does."""
        clean = self.wide[TOKEN, NONE]
        return Ratio(clean - self.wide[way, ALL], clean - self.wide[PROMPT, ALL])

    def read(self, way: str, head: str) -> Ratio:
        """The share of a change's effect that one head reads."""
        whole = self.wide[way, ALL]
        return Ratio(self.wide[way, head] - whole, self.wide[way, NONE] - whole)

    def agreement(self, *ways: str) -> Contrast:
        """The correlation, over pairs and heads, of what is read of the first change with what is
        read of the token; less that of the second change, if there is one."""
        _, which = np.unique(self.clusters, return_inverse=True)
        parts = list[np.ndarray]()
        for way in ways:
            x, y = (lost(self.wide[each]) for each in (way, TOKEN))
            for product in (np.ones_like(x), x, y, x * x, y * y, x * y):
                parts.append(np.bincount(which, weights=product.sum(axis=1)))
        sums = np.stack(parts, axis=1)
        return estimate(sums, lambda some: _correlations(some, len(ways)))


def _correlations(sums: np.ndarray, n: int) -> np.ndarray:
    """The first correlation less the others, from sums of 1, x, y, x², y² and xy for each."""
    found = list[np.ndarray]()
    for nth in range(n):
        one, x, y, xx, yy, xy = np.moveaxis(sums[..., 6 * nth : 6 * nth + 6], -1, 0)
        spread = np.sqrt(np.maximum(one * xx - x * x, 0) * np.maximum(one * yy - y * y, 0))
        found.append((one * xy - x * y) / np.maximum(spread, 1e-12))
    return np.asarray(found[0] - sum(found[1:], np.zeros_like(found[0])))


def headline(ways: Sequence[str]) -> str:
    """The change that the claim is about: what latents write at the writing site, or at the token
    where that is another place; the most latents."""
    latents = [way for way in ways if way.removeprefix(AT_SITE).startswith(f"{LATENTS}_")]
    at_site = [way for way in latents if way.startswith(AT_SITE)]
    return max(at_site or latents, key=lambda way: int(way.rpartition("_")[2]))


def reads_alike(rows: pd.DataFrame, site: str) -> Claim:
    """C3c: what latents write is read by the heads of later blocks as the connection's own token
    is, pair by pair, more than what the same latents write of a third connection, than what as many
    units with random decoder directions write, and than a random push at this token."""
    statement = "later heads read what latents write as they read the connection's token"
    measure = "correlation over pairs and heads of what is lost without the head"
    readers = Readers(rows, site)
    if len(readers.wide) == 0:
        reason = "connections are read after the last block, or no pair is read right"
        return unmeasured("C3c", statement, measure, reason)
    way = headline(readers.ways)
    controls = {
        "a third connection's latents": way.replace(LATENTS, OTHER),
        "units of the frozen decoder": way.replace(LATENTS, FROZEN),
        "random direction": RANDOM,
    }
    made = [
        Control(name, readers.agreement(other).interval, readers.agreement(way, other))
        for name, other in controls.items()
    ]
    value = readers.agreement(way)
    return claim("C3c", statement, f"{measure}: {way}, {site}", value.interval, made)


def reader_shares(rows: pd.DataFrame) -> pd.DataFrame:
    """For each site and way to change the run: the share of the effect that every head reads, the
    effect of the whole (``heads`` "all") relative to the prompt's, and the agreement with the token
    (``heads`` "agreement")."""
    found = list[dict[str, object]]()
    for site in rows.site.unique():
        readers = Readers(rows, site)
        for way in readers.ways if len(readers.wide) else []:
            parts = {head: readers.read(way, head) for head in readers.heads}
            parts[ALL] = readers.effect(way)
            values = {
                name: contrast([ratio], [], readers.clusters, n_resamples=2000)
                for name, ratio in parts.items()
            }
            if way != TOKEN:
                values["agreement"] = readers.agreement(way)
            for name, one in values.items():
                columns = {"site": site, "written": way, "heads": name}
                found.append(columns | one.interval._asdict())
    return pd.DataFrame(found, columns=["site", "written", "heads", "value", "low", "high", "n"])
