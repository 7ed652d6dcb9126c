"""The parameters of probes for facts, of steering, and of the tokens after the list."""

from typing import Annotated

from pydantic import Field

from mazewm.io.params import Distinct, Params

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]


class PlanningParams(Params):
    """Settings of probes and steering: ``planning`` in params.yaml."""

    n_fit_mazes: Count  # training mazes, for probes of a model
    n_input_mazes: Count  # training mazes, for readers of the maze alone
    n_held_out_mazes: Count  # validation mazes, and as many test mazes
    # of the ridge, in multiples of the mean eigenvalue of X'X, which is known to single precision
    penalties: Annotated[list[Annotated[float, Field(ge=1e-4)]], Field(min_length=1), Distinct]
    n_steered: Count  # test mazes in each situation
    n_steered_validation: Count  # the same of validation mazes, where place and dose are chosen
    # in multiples of the length of the mean difference's edit
    doses: Annotated[list[Positive], Field(min_length=1), Distinct]
    # pairs of mazes for each connection, made from test and from validation mazes, and how strongly
    # connections are written at the tokens after the list: multiples of the mean difference
    n_twins: Count
    n_twins_validation: Count
    twin_doses: Annotated[list[Positive], Field(min_length=1), Distinct]
    batch_size: Count
    n_threads: Count
