"""Tables of binding heads and of edges in which the truth is planted."""

from itertools import product

import numpy as np
import pandas as pd

from mazewm.circuits.edges import EDGES, LAST, N_RANDOM, NODES, name_of
from mazewm.claims.circuits import RANDOM

# how well what is read of a change agrees with what is read of the token
READ_ALIKE = {
    "latents_16": 0.9,
    "other_latents_16": 0.2,
    "frozen_decoder_16": 0.25,
    "random_direction": 0.3,
}
PATH = (("own c1", "own c2"), ("own c2", "last path"))
N_PAIRS = 40


def binding_rows(
    lost: dict[str, float], site: str, n: int = 60, noise: float = 0.05
) -> pd.DataFrame:
    """Projections of ``n`` mazes, of which two each have equal connections; ``lost`` by set of
    heads, of what falls from 1 to 0.4."""
    rng = np.random.default_rng(0)
    lost = {"none": 0.0, "all": 1.0} | dict.fromkeys(RANDOM, 0.5) | lost
    parts = [
        pd.DataFrame(
            {
                "site": site,
                "split": "test",
                "heads": heads,
                "maze_id": np.arange(n),
                "connection_set": np.arange(n) // 2,
                "connection": 0,
                "projection": 1 - 0.6 * share + noise * rng.standard_normal(n),
            }
        )
        for heads, share in lost.items()
    ]
    return pd.concat(parts, ignore_index=True)


def edge_rows(
    effects: dict[str, float] | None = None, n_wrong: int = 3, noise: float = 0.1
) -> pd.DataFrame:
    """The metric falls from 4 to -4 along PATH; ``effects`` are those of the circuit, of its
    complement and of as many random edges."""
    rng = np.random.default_rng(1)
    sums = {"circuit": 0.95, "complement": 0.05, "random": 0.1} | (effects or {})
    effect = {("none", ""): 0.0, ("all", ""): 1.0}
    effect |= {("cut", name_of(edge)): 0.1 if named(edge) in PATH else 1.0 for edge in EDGES}
    effect |= {(kind, NODES[a]): 1.0 for kind in ("from", "direct") for a in range(LAST)}
    effect |= {("head", f"{layer}.{head}"): 0.8 for layer in (0, 1) for head in (0, 1)}
    effect |= {(kind, ""): sums[kind] for kind in ("circuit", "complement")}
    effect |= {("random", str(nth)): sums["random"] for nth in range(N_RANDOM)}
    is_wrong = np.arange(N_PAIRS + n_wrong) >= N_PAIRS
    parts = [
        pd.DataFrame(
            {
                "split": "test",
                "maze_id": np.arange(len(is_wrong)),
                "connection_set": np.arange(len(is_wrong)),
                "pair": np.arange(len(is_wrong)),
                "kind": kind,
                "of": of,
                "metric": np.where(is_wrong, -9.0, 4 - 8 * share)
                + noise * rng.standard_normal(len(is_wrong)),
            }
        )
        for (kind, of), share in effect.items()
    ]
    return pd.concat(parts, ignore_index=True)


def named(edge: tuple[int, int]) -> tuple[str, str]:
    """An edge as names of nodes."""
    return NODES[edge[0]], NODES[edge[1]]


def circuit_rows(path: tuple[tuple[str, str], ...] = PATH) -> pd.DataFrame:
    """The circuit as chosen."""
    return pd.DataFrame([(a, b, 0.9) for a, b in path], columns=["source", "to", "lost"])


def reader_rows(
    agree: dict[str, float], site: str, n: int = 60, heads: tuple[str, ...] = ("1.0", "1.1")
) -> pd.DataFrame:
    """The metric of ``n`` pairs when every head reads the change: it falls from 3 to -3. The first
    head reads more than the second, and by pair as much as it reads of the token with the
    correlation ``agree``, by way to change the run."""
    rng, parts = np.random.default_rng(2), []
    token = rng.standard_normal((n, len(heads)))
    for way, r in ({"token": 1.0, "prompt": 1.0} | agree).items():
        own = r * token + np.sqrt(1 - r * r) * rng.standard_normal(token.shape)
        metrics = {"none": np.full(n, 3.0), "all": np.full(n, -3.0)}
        metrics |= {head: -3 + 1.5 + 0.3 * own[:, nth] for nth, head in enumerate(heads)}
        for name, metric in metrics.items():
            columns = {"site": site, "split": "test", "written": way, "dose": 1.0, "heads": name}
            columns |= {"maze_id": np.arange(n), "connection_set": np.arange(n) // 2}
            parts.append(pd.DataFrame(columns | {"pair": np.arange(n), "metric": metric}))
    return pd.concat(parts, ignore_index=True)


def prediction_rows(explained: dict[str, float], site: str, n: int = 60) -> pd.DataFrame:
    """Values of latents at a connection's token in each of ``n`` mazes, of which each circuit
    explains the given share of the variance."""
    rng, parts = np.random.default_rng(3), []
    value, sst = rng.uniform(3, 5, n), rng.uniform(8, 12, n)
    for circuit, share in ({"connection": 0.95} | explained).items():
        columns = {"site": site, "split": "test", "circuit": circuit, "maze_id": np.arange(n)}
        columns |= {"connection_set": np.arange(n) // 2, "connection": np.arange(n) % 12}
        sums = {"value": value, "predicted": share * value, "sst": sst}
        sums |= {"sse": sst * (1 - share) * rng.uniform(0.9, 1.1, n)}
        parts.append(pd.DataFrame(columns | sums))
    return pd.concat(parts, ignore_index=True)


def head_rows(heads: dict[str, list[tuple[int, int]]]) -> pd.DataFrame:
    """Binding heads by site."""
    rows = [
        {"site": site, "kind": "binding", "layer": layer, "head": head, "own_mass": 0.5}
        for site, some in heads.items()
        for layer, head in some
    ]
    return pd.DataFrame(rows, columns=["site", "kind", "layer", "head", "own_mass"])


def direction_rows(
    arrows: np.ndarray, site: str, turned: float = 0.0, noise: float = 0.1, seed: int = 0
) -> pd.DataFrame:
    """Directions of connections, a row of ``arrows`` each: those of the halves of mazes with noise,
    as long as a share of an arrow; those of early tokens alike, and those of late tokens the same
    turned by an angle in a plane that no other direction has. Embeddings are half of the arrows."""
    rng, (n, d) = np.random.default_rng(seed), arrows.shape
    padded = np.concatenate([arrows, np.zeros((n, n))], axis=1)
    length = np.linalg.norm(arrows, axis=1, keepdims=True)
    away = np.concatenate([np.zeros((n, d)), length * np.eye(n)], axis=1)
    late = np.cos(turned) * padded + np.sin(turned) * away
    sources = {"whole": padded, "early": padded, "late": late, "embedding": padded / 2}
    for half in ("first half", "second half"):
        drawn = rng.standard_normal(padded.shape) / (d + n) ** 0.5
        sources[half] = padded + noise * length * drawn
    rows = [
        {"site": site, "split": "validation", "source": source, "connection": e, "direction": arrow}
        for source, vectors in sources.items()
        for e, arrow in enumerate(vectors)
    ]
    return pd.DataFrame(rows)


def carried_rows(own: int, other: int, n: int = 40) -> pd.DataFrame:
    """Twins at which of 10 affected questions so many are hit, and 1 of 20 others spills."""
    parts = []
    for at, found in product(("early", "late"), repeat=2):
        hits = own if at == found else other
        columns = {"split": "test", "written_at": at, "found_at": found, "dose": 2.0}
        columns |= {"maze_id": np.arange(n), "connection": 0, "connection_set": np.arange(n) // 2}
        columns |= {"n_affected": 10, "n_hit": hits + np.arange(n) % 2}
        parts.append(pd.DataFrame(columns | {"n_unaffected": 20, "n_spill": 1}))
    return pd.concat(parts, ignore_index=True)
