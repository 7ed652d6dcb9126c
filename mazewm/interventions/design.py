"""Which conditions examples of each kind meet, at each site and on each split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mazewm.errors import BadInput
from mazewm.interventions.conditions import Condition, Method, Where
from mazewm.maze.examples import Examples, Kind
from mazewm.params import Params

Count = Annotated[int, Field(gt=0)]
Dose = Annotated[float, Field(gt=0)]


class InterventionParams(Params):
    """Which examples, and how strongly they are edited."""

    n_per_connection: Count  # examples of adding, removing and moving each connection, from test mazes
    n_per_connection_validation: Count  # and from validation mazes, where doses and places are chosen
    n_redrawn: Count  # times that origin and target of each maze are drawn anew to find examples
    n_added: Annotated[list[Count], Field(min_length=1)]  # how many connections are added at once
    n_several: Count  # examples of each number
    set_sizes: Annotated[list[Count], Field(min_length=1)]  # how many latents of a connection are edited together
    doses: Annotated[list[Dose], Field(min_length=1)]  # at the main site, where one connection is added or removed
    several_doses: Annotated[list[Dose], Field(min_length=1)]  # where one is moved or several are added
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
OTHER: dict[Kind, Method] = {"remove": "other_latents"}  # the control that edits other latents of the kind; else other_connection


def conditions_of(kind: Kind, n_changed: int, split: str, is_main: bool, params: InterventionParams) -> list[Condition]:
    """What is done to examples of one kind; on validation mazes only that from which a choice is made.

    Sites beside the main one get fewer doses, and additions are made at every one of their tokens, which is the most that can be
    done there. Connections are moved, and several added, at the main site only and on test mazes only: there, settings
    are those chosen for one connection, and so only the largest set of latents is used.
    """
    places = PLACES[kind] if is_main else PLACES[kind][:1]
    prompts: list[Method] = ["tokens"] if n_changed == 0 or kind != "overload" else ["tokens", "repeated", "shifted"]
    unedited = [Condition(method, places[0], 0, 1.0) for method in (*prompts, "no_op")]
    largest = max(params.set_sizes)
    if kind in ("add", "remove"):
        sizes, doses = params.set_sizes, params.doses if is_main else params.other_site_doses
    elif split == "test" and is_main:
        sizes, doses = [largest], params.several_doses
    else:
        return []
    if n_changed == 0:
        return unedited
    every = [(where, dose) for where in places for dose in doses]
    chosen = [Condition("latents", where, n, dose) for where, dose in every for n in sizes]
    chosen += [Condition(method, where, 0, dose) for method in ("mean_difference", "probe_direction") for where, dose in every]
    if split == "validation":
        return chosen
    controls: list[tuple[Method, int]] = [
        ("random_direction", 0),
        ("random_latents", largest),
        (OTHER.get(kind, "other_connection"), largest),
    ]
    variants: dict[Kind, list[tuple[Method, int]]] = {"add": [("fixed_value", largest)], "remove": [("latents_and_cells", largest)]}
    beside = [Condition(method, where, n, dose) for method, n in (*controls, *variants.get(kind, [])) for where, dose in every]
    return chosen + beside + unedited


def check_every_kind(asked: Sequence[Examples], path: Path) -> None:
    """BadInput if the mazes of ``path`` have no example of some kind; one in which nothing is changed does not count."""
    for kind in dict.fromkeys(one.kind for one in asked):
        if not any(len(one) and one.n_changed for one in asked if one.kind == kind):
            raise BadInput(f"{path}: no maze has an example of {kind!r}; expected mazes of several sizes.")
