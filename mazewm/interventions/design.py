"""Which conditions examples of each kind meet, at each site and on each split."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mazewm.counterfactuals.examples import Examples, Kind
from mazewm.interventions.conditions import PROMPTS, SUPERVISED, Condition, Method, Where
from mazewm.io.errors import BadInput
from mazewm.io.params import Params

Count = Annotated[int, Field(gt=0)]
Dose = Annotated[float, Field(gt=0)]


class InterventionParams(Params):
    """Which examples, and how strongly they are edited."""

    n_per_connection: (
        Count  # examples of adding, removing and moving each connection, from test mazes
    )
    n_per_connection_validation: (
        Count  # and from validation mazes, where doses and places are chosen
    )
    n_redrawn: Count  # times that origin and target of each maze are drawn anew to find examples
    n_added: Annotated[list[Count], Field(min_length=1)]  # how many connections are added at once
    n_several: Count  # examples of each number
    # how many latents of a connection are edited together
    set_sizes: Annotated[list[Count], Field(min_length=1)]
    # at the main site, where one connection is added or removed
    doses: Annotated[list[Dose], Field(min_length=1)]
    # where one is moved or several are added
    several_doses: Annotated[list[Dose], Field(min_length=1)]
    other_site_doses: Annotated[list[Dose], Field(min_length=1)]  # at the sites beside the main one
    batch_size: Count
    n_threads: Count


# Where activations are edited at the main site; the first is where they are edited at other sites.
PLACES: dict[Kind, tuple[Where, ...]] = {
    "add": ("all", "borrowed"),
    "remove": ("own",),
    "move": ("own",),
    "several": ("all", "borrowed"),
    "overload": ("all", "borrowed"),
}
# What a choice is made among, on validation mazes.
CHOICES: tuple[Method, ...] = ("latents", "mean_difference", "probe_direction")
# What stands beside it on test mazes: controls, and variants of the latents.
BESIDE: dict[Kind, tuple[Method, ...]] = {
    "add": ("random_direction", "random_latents", "other_connection", "fixed_value"),
    "remove": ("random_direction", "random_latents", "other_latents", "latents_and_cells"),
    "move": ("random_direction", "random_latents", "other_connection"),
    "several": ("random_direction", "random_latents", "other_connection"),
    "overload": ("random_direction", "random_latents", "other_connection"),
}
WITHOUT_LATENTS = (*SUPERVISED, "random_direction")


def conditions_of(
    kind: Kind, n_changed: int, split: str, is_main: bool, params: InterventionParams
) -> list[Condition]:
    """What is done to examples of one kind; on validation mazes only that from which a choice is
    made.

    Sites beside the main one get fewer doses, and additions are made at every one of their tokens,
    which is the most that can be done there. Connections are moved, and several added, at the main
    site only and on test mazes only: there, settings are those chosen for one connection, and so
    only the largest set of latents is used."""
    is_single, largest = kind in ("add", "remove"), max(params.set_sizes)
    if not is_single and not (is_main and split == "test"):
        return []
    places = PLACES[kind] if is_main else PLACES[kind][:1]
    prompts = PROMPTS if kind == "overload" and n_changed else ("tokens",)
    unedited = [Condition(method, places[0], 0, 1.0) for method in (*prompts, "no_op")]
    if n_changed == 0:
        return unedited
    doses = (
        (params.doses if is_main else params.other_site_doses)
        if is_single
        else params.several_doses
    )
    sizes: dict[Method, list[int]] = {"latents": params.set_sizes if is_single else [largest]}
    sizes |= {method: [0] for method in WITHOUT_LATENTS}
    methods = CHOICES if split == "validation" else (*CHOICES, *BESIDE[kind])
    every = list(product(places, doses))
    edited = [
        Condition(m, where, n, dose)
        for m in methods
        for where, dose in every
        for n in sizes.get(m, [largest])
    ]
    return edited if split == "validation" else edited + unedited


def check_every_kind(asked: Sequence[Examples], path: Path) -> None:
    """BadInput if the mazes of ``path`` have no example of some kind; one in which nothing is
    changed does not count."""
    for kind in dict.fromkeys(one.kind for one in asked):
        if not any(len(one) and one.n_changed for one in asked if one.kind == kind):
            raise BadInput(
                f"{path}: no maze has an example of {kind!r}; expected mazes of several sizes."
            )
