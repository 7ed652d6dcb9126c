"""How circuits are traced."""

from typing import Annotated

from pydantic import Field

from mazewm.io.params import Params


class CircuitParams(Params):
    """What tracing circuits goes by."""

    n_mazes: Annotated[int, Field(gt=1)]
    batch_size: Annotated[int, Field(gt=0)]
    connectivity_threshold: Annotated[float, Field(gt=0, lt=1)]  # own_mass of a connectivity head
    # own_mass of a binding head, in multiples of the larger control
    binding_ratio: Annotated[float, Field(ge=1)]
    n_position_bins: Annotated[int, Field(gt=0)]
    n_swaps: Annotated[int, Field(gt=0)]  # pairs of mazes for activation patching
    # part of the result: other thread counts add in another order
    n_threads: Annotated[int, Field(gt=0)]
