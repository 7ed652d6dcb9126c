"""The design of the interventions: which pairs of mazes, and which conditions for each kind."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mazewm.counterfactuals import pairs as made
from mazewm.counterfactuals.pairs import Kind, Pairs
from mazewm.interventions.directions import ARROWS, DICTIONARIES, DIMENSIONS
from mazewm.interventions.edits import OTHER, RANDOM, Condition, Method
from mazewm.interventions.labels import MAIN, Where
from mazewm.interventions.params import InterventionParams
from mazewm.localize.locations import WritingSite
from mazewm.maze.mazes import Mazes


@dataclass(frozen=True)
class Group:
    """Pairs that are edited in the same ways: of one kind, with ``k`` connections added at once."""

    k: int
    pairs: Pairs


def groups(
    mazes: Mazes, rng: np.random.Generator, n_most: int, n: int, params: InterventionParams
) -> Iterator[Group]:
    """All pairs that are made of the trees among some mazes: ``n`` for each connection, and those
    to which several are added at once. ``n_most`` is the most connections of a training maze.
    Corridors are added to prompts that are about as long as these, and about as short as any.
    A group for which the mazes have no room has no pairs."""
    trees = made.trees_of(mazes, n_most)
    twins = made.twins(trees[trees.n_connections < n_most], rng, n)
    yield Group(1, twins)
    yield Group(1, twins.backwards())
    yield Group(1, made.moves(trees[trees.n_connections < n_most], rng, n))
    n_fewest = trees.n_connections.min(initial=n_most)
    few, most = (
        trees[trees.n_connections <= n_fewest + 1],
        trees[trees.n_connections >= n_most - 1],
    )
    for k in params.corridor_lengths:
        yield Group(
            k,
            Pairs.joined([made.corridors(some, rng, k, params.n_at_once) for some in (few, most)]),
        )
    full = trees[trees.n_connections == n_most]
    for k in params.n_added:
        yield Group(k, made.singles(full, rng, k, params.n_at_once))


@dataclass(frozen=True)
class Sites:
    """The writing site, and the other sites at which the same is tried."""

    main: WritingSite
    others: tuple[WritingSite, ...]

    @property
    def binding(self) -> WritingSite:
        """All tokens at which connections are bound, in the layer of the main site."""
        return replace(self.main, tokens=(str(self.main.read_at),))


def conditions_of(kind: Kind, sites: Sites, set_sizes: list[int]) -> list[Condition]:
    """The conditions for one kind, at dose 1; none for ``move``, which puts those for adding and
    removing together. All methods are tried at the main site; the few that the comparison needs at
    others."""
    most = max(set_sizes)
    latents, difference, random = Method("latents", most), Method("mean_difference"), Method(RANDOM)
    few = [difference, latents]
    every = [
        *(Method(name, n) for name in (*DICTIONARIES, DIMENSIONS) for n in set_sizes),
        *(Method(name) for name in ARROWS),
        random,
        Method(OTHER, most),
    ]
    at_once = [*few, random, *(Method("latents", n) for n in set_sizes[:1] if n != most)]
    tried: dict[Kind, list[tuple[list[Method], WritingSite, Where]]] = {
        "add": [
            (every, sites.main, "site"),
            (few, sites.binding, "site"),
            (few, sites.main, "one"),
            *((few, other, "site") for other in sites.others),
        ],
        "remove": [
            (every, sites.main, "own"),
            (few, sites.main, "site"),
            *((few, other, "own") for other in sites.others),
        ],
        "corridor": [(at_once, sites.main, "dealt")],
        "single": [(at_once, sites.main, "dealt")],
        "move": [],
    }
    found: dict[tuple[Method, str, str], Condition] = {}
    for methods, site, where in tried[kind]:
        for method in methods:
            one = Condition(method, site, where, 1.0)
            # where two sites have the same tokens, the first counts
            found.setdefault((method, str(site.place), one.tokens), one)
    return list(found.values())


def has_curve(condition: Condition, kind: Kind, sites: Sites, set_sizes: list[int]) -> bool:
    """Whether all doses are put to test mazes, for the length at half effect and for comparisons at
    equal length: at the main site, the headline latents, the mean difference and random pushes."""
    if kind not in ("add", "remove") or condition.where != MAIN[kind]:
        return False
    wanted = (Method("latents", set_sizes[0]), Method("mean_difference"), Method(RANDOM))
    return condition.site == sites.main and condition.method in wanted
