"""The design of the interventions: which conditions apply to which kind of example, at each site
and on each split."""

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
    """How many examples, and how strongly they are edited: ``interventions`` in params.yaml."""

    n_per_connection: (
        Count  # examples of adding, removing and moving each connection, from test mazes
    )
    n_per_connection_validation: (
        Count  # the same from validation mazes, where doses and token positions are chosen
    )
    n_redrawn: Count  # how often origin and target of each maze are redrawn to find examples
    n_added: Annotated[list[Count], Field(min_length=1)]  # how many connections are added at once
    n_several: Count  # examples for each of ``n_added``
    # how many latents of a connection are edited together
    set_sizes: Annotated[list[Count], Field(min_length=1)]
    # at the main site (the writing site), for adding or removing one connection
    doses: Annotated[list[Dose], Field(min_length=1)]
    # at the main site, for moving one connection or adding several
    several_doses: Annotated[list[Dose], Field(min_length=1)]
    other_site_doses: Annotated[list[Dose], Field(min_length=1)]  # at the other sites
    batch_size: Count
    n_threads: Count


# The tokens at which activations are edited at the main site; at other sites only the first of
# them.
PLACES: dict[Kind, tuple[Where, ...]] = {
    "add": ("all", "borrowed"),
    "remove": ("own",),
    "move": ("own",),
    "several": ("all", "borrowed"),
    "overload": ("all", "borrowed"),
}
# Methods whose settings are chosen on validation mazes.
CHOICES: tuple[Method, ...] = ("latents", "mean_difference", "probe_direction")
# Methods added on test mazes: controls, and variants of the latents.
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
    """The conditions for examples of one kind; on validation mazes only methods whose settings are
    chosen there.

    Sites other than the main one get fewer doses, and connections are added at all tokens only, the
    strongest edit there. Moving a connection and adding several are tested only at the main site
    and on test mazes; their settings are those chosen for adding or removing one connection, with
    only the largest set of latents."""
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
    """BadInput if the mazes of ``path`` have no example of some kind; examples in which nothing is
    changed do not count."""
    for kind in dict.fromkeys(one.kind for one in asked):
        if not any(len(one) and one.n_changed for one in asked if one.kind == kind):
            raise BadInput(
                f"{path}: no maze has an example of {kind!r}; expected mazes of several sizes."
            )
