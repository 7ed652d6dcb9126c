"""How many pairs of mazes are edited, and how strongly."""

from typing import Annotated

from pydantic import Field

from mazewm.io.params import Distinct, Params

Count = Annotated[int, Field(gt=0)]
Dose = Annotated[float, Field(gt=0)]


class InterventionParams(Params):
    """The section ``interventions`` of params.yaml."""

    # pairs of mazes for each connection, from test mazes
    n_per_connection: Count
    # the same from validation mazes, where doses are chosen
    n_per_connection_validation: Count
    # how many units of a connection are edited together; the first is the headline
    set_sizes: Annotated[list[Count], Field(min_length=1), Distinct]
    # in multiples of a unit's own mean, and of the mean difference; doubled and halved further
    # where the best is the largest or the smallest
    doses: Annotated[list[Dose], Field(min_length=1), Distinct]
    corridor_lengths: Annotated[list[Count], Field(min_length=1), Distinct]
    # single connections added at once
    n_added: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), Distinct]
    # mazes for each corridor and for each number of added connections, of each split
    n_at_once: Count
    batch_size: Count
    n_threads: Count
