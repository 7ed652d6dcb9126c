"""The parameters of circuit tracing."""

from typing import Annotated

from pydantic import Field

from mazewm.io.params import Params


class CircuitParams(Params):
    """Settings of circuit tracing: ``circuits`` in params.yaml."""

    n_mazes: Annotated[int, Field(gt=1)]  # test mazes
    batch_size: Annotated[int, Field(gt=0)]
    connectivity_threshold: Annotated[float, Field(gt=0, lt=1)]  # own_mass, a share of attention
    # validation mazes on which binding heads are chosen, and test mazes on which they are measured
    n_binding_mazes: Annotated[int, Field(gt=1)]
    n_position_bins: Annotated[int, Field(gt=0)]
    n_swaps: Annotated[int, Field(gt=0)]  # pairs of mazes for activation patching
    # affects the result: with another number of threads, sums are taken in another order
    n_threads: Annotated[int, Field(gt=0)]
