"""The path of a connection: along which edges between tokens it comes to the cell that it decides
(docs/science.md#path-of-a-connection).

Pairs of mazes differ in one connection of the list (module ``patching``). A *node* is a group of
tokens, an *edge* all paths through attention from one node to another, in all heads and blocks
(module ``streams``). The effect of a set of open edges is

    effect(E) = (m(none) - m(E)) / (m(none) - m(all)),

with m the logit difference between the two next cells, summed over pairs; E = all gives the
corrupted run. Measured are:

* ``cut``: all edges but one are open. What is lost, 1 - effect, went through this edge.
* ``from``: all edges out of one node are closed but that to the last path token; what is lost is
  *mediated* by other nodes. ``direct``: that last one is closed only.
* ``head``: of one head, all edges to the last path token are closed.
* ``circuit``: only the edges of the circuit are open; ``complement``: all others are;
  ``random``: as many, drawn at random from all.

The circuit is chosen on validation mazes: edges are opened, those by whose closing most is lost
first, until they have ``FAITHFUL`` of the whole effect, less than half of all at most; then those
are closed again, the last ones first, that this does not need.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mazewm.circuits.binding import all_heads
from mazewm.circuits.choosing import few_enough
from mazewm.circuits.groups import FRAME, JOINT, OWN, TOKEN_GROUPS
from mazewm.circuits.patching import Pairs, logit_difference, read_pairs
from mazewm.circuits.streams import Streams
from mazewm.counterfactuals.swaps import Swaps
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.tokens import TOKENS_PER_CONNECTION
from mazewm.model.transformer import Transformer

FAITHFUL = 0.9  # of the whole effect, that the chosen circuit has on validation mazes
N_RANDOM = 10  # sets of edges drawn at random
NODES = (*OWN, JOINT[1], *FRAME, "earlier path", "last path")
LAST = len(NODES) - 1

Edge = tuple[int, int]
EDGES: tuple[Edge, ...] = tuple((a, b) for b in range(len(NODES)) for a in range(b))


@dataclass(frozen=True)
class EdgeRow:
    """The metric of one pair with some edges closed."""

    split: tables.Text  # test
    maze_id: tables.Int
    pair: tables.Int  # the number of the swap
    kind: tables.Text  # none, all, cut, from, direct, head, circuit, complement, random
    of: tables.Text  # the edge, node or head that is closed; for random the number of the draw
    metric: tables.Real  # a logit difference


@dataclass(frozen=True)
class CircuitEdgeRow:
    """One edge of the circuit, those that matter most by themselves first."""

    source: tables.Text
    to: tables.Text
    lost: tables.Real  # share of the effect, on validation mazes, with only this edge closed


class Cut(NamedTuple):
    """A set of open edges, and what it is called."""

    kind: str
    of: str
    edges: frozenset[Edge]
    head: tuple[int, int] | None = None  # (layer, head): closed edges are closed for it alone


def name_of(edge: Edge) -> str:
    """An edge in words.

    >>> name_of((0, 2))
    'own c1 > own c2'
    """
    return " > ".join(NODES[node] for node in edge)


def cuts(model: Transformer, circuit: Sequence[Edge], rng: np.random.Generator) -> list[Cut]:
    """All sets of edges that are measured on test mazes."""
    every, chosen = frozenset(EDGES), frozenset(circuit)
    to_last = frozenset((node, LAST) for node in range(LAST))
    found = [Cut("none", "", frozenset()), Cut("all", "", every)]
    found += [Cut("cut", name_of(edge), every - {edge}) for edge in EDGES]
    for node in range(LAST):
        mediated = frozenset((node, b) for b in range(node + 1, LAST))
        found.append(Cut("from", NODES[node], every - mediated))
        found.append(Cut("direct", NODES[node], every - {(node, LAST)}))
    found += [
        Cut("head", f"{layer}.{head}", every - to_last, (layer, head))
        for layer, head in all_heads(range(model.params.n_layers), model)
    ]
    found += [Cut("circuit", "", chosen), Cut("complement", "", every - chosen)]
    drawn = [rng.permutation(len(EDGES))[: len(chosen)] for _ in range(N_RANDOM)]
    found += [
        Cut("random", str(nth), frozenset(EDGES[e] for e in some)) for nth, some in enumerate(drawn)
    ]
    return found


class PairStreams:
    """The streams of a batch of pairs, and the metric of sets of edges."""

    def __init__(self, model: Transformer, pairs: Pairs) -> None:
        clean, corrupted = (
            model.embed(torch.from_numpy(tokens).to(model.device))
            for tokens in (pairs.clean, pairs.corrupted)
        )
        self.since = 1 + TOKENS_PER_CONNECTION * int(pairs.nth.min())
        self.model, self.pairs = model, pairs
        self.streams = Streams(model, clean, corrupted, range(len(model.layers)), self.since)
        of_nodes = pairs.groups[:, [TOKEN_GROUPS.index(name) for name in NODES]]
        # no node: tokens before the slot, which do not change
        node = np.where(of_nodes.any(axis=1), of_nodes.argmax(axis=1), -1)
        self.node: Int[Tensor, "pair pos"] = torch.from_numpy(node).to(model.device)

    @torch.inference_mode()
    def metric(self, cut: Cut) -> Float[np.ndarray, " pair"]:
        """The logit difference between the clean and the corrupted next cell."""
        every = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=self.node.device)
        is_open = self._open(cut.edges)

        def of_layer(layer: int) -> Bool[Tensor, "..."]:
            if cut.head is None:
                return is_open
            if layer != cut.head[0]:
                return every
            only = torch.zeros(1, self.model.params.n_heads, 1, 1, dtype=torch.bool)
            only[:, cut.head[1]] = True
            return is_open | ~only.to(is_open.device)

        resid = self.streams.run(of_layer)
        return logit_difference(self.model, resid, self.pairs, self.since).cpu().numpy()

    def _open(self, edges: frozenset[Edge]) -> Bool[Tensor, "pair 1 query key"]:
        """Which paths are open: those of the edges, and all within a node or from none."""
        n = len(NODES) + 1
        allowed = torch.zeros(n, n, dtype=torch.bool)
        for a, b in edges:
            allowed[b, a] = True
        allowed |= torch.eye(n, dtype=torch.bool)
        allowed = allowed.to(self.node.device)
        return allowed[self.node[:, self.since :, None], self.node[:, None, :]][:, None]


def _batches(subject: Subject, swaps: Swaps, name: str) -> Iterator[tuple[np.ndarray, PairStreams]]:
    rng = subject.rng(name)
    for part in swaps.mazes.batches(subject.batch):
        yield part, PairStreams(subject.transformer, read_pairs(swaps[part], rng))


def choose_circuit(subject: Subject, swaps: Swaps) -> list[CircuitEdgeRow]:
    """The circuit, from swaps of validation mazes (see above); the edges that matter most by
    themselves come first."""
    every = frozenset(EDGES)
    batches = [streams for _, streams in _batches(subject, swaps, "circuit")]

    def total(edges: frozenset[Edge]) -> float:
        return float(sum(each.metric(Cut("", "", edges)).sum() for each in batches))

    none, whole = total(frozenset()), total(every)
    if abs(none - whole) < 1e-9:
        return []

    def effect(edges: frozenset[Edge]) -> float:
        return (none - total(edges)) / (none - whole)

    lost = {edge: 1 - effect(every - {edge}) for edge in EDGES}
    by_loss = sorted(EDGES, key=lambda edge: -abs(lost[edge]))
    n_most = len(EDGES) // 2  # a circuit is a minority of them, whether it is enough or not
    kept = few_enough(by_loss[:n_most], lambda edges: effect(frozenset(edges)) >= FAITHFUL)
    return [CircuitEdgeRow(NODES[edge[0]], NODES[edge[1]], lost[edge]) for edge in kept]


def edges_of(circuit: Sequence[CircuitEdgeRow]) -> list[Edge]:
    """The edges of a circuit as pairs of nodes."""
    return [(NODES.index(row.source), NODES.index(row.to)) for row in circuit]


def measure_edges(subject: Subject, swaps: Swaps, circuit: Sequence[Edge]) -> list[EdgeRow]:
    """The metric of every pair under every cut, on swaps of test mazes."""
    every = cuts(subject.transformer, circuit, subject.rng("random edges"))
    return [
        EdgeRow("test", int(maze_id), int(pair), cut.kind, cut.of, float(value))
        for part, streams in _batches(subject, swaps, "patching")
        for cut in every
        for pair, maze_id, value in zip(
            part, swaps.mazes.maze_id[part], streams.metric(cut), strict=True
        )
    ]
