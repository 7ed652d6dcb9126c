"""The recipe of sparse autoencoders, and which points of it are tried."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from mazewm.io.params import Params

Activation = Literal["relu", "topk", "batch_topk"]


Count = Annotated[int, Field(gt=0)]


Sparsity = Annotated[float, Field(gt=0)]


class Point(NamedTuple):
    """What the sweep varies."""

    width: int  # latents
    sparsity: float  # active latents per token (k); for relu the weight of the L1 penalty


class SaeParams(Params):
    """The recipe of SAEs, and which points of it are tried."""

    activation: Activation
    widths: Annotated[list[Count], Field(min_length=1)]
    sparsities: Annotated[list[Sparsity], Field(min_length=1)]  # as in Point
    lr: Annotated[float, Field(gt=0)]
    aux_weight: Annotated[float, Field(ge=0)]
    dead_share: Annotated[float, Field(gt=0, lt=1)]
    n_sweep_samples: Count  # for each point of the sweep
    n_samples: Count
    n_control_samples: Count  # for the SAEs that are controls
    n_sweep_mazes: Count  # validation mazes that each point is judged on
    n_evaluated_mazes: Count
    rollout_batch_size: Count
    batch_size: Count
    n_threads: Count

    @model_validator(mode="after")
    def _k_is_whole(self) -> "SaeParams":
        if self.activation != "relu" and any(sparsity % 1 for sparsity in self.sparsities):
            raise ValueError(
                "the sparsities of topk and batch_topk count latents, so they must be whole"
            )
        return self

    def points(self) -> list[Point]:
        """Every width with every sparsity."""
        return [Point(width, sparsity) for width in self.widths for sparsity in self.sparsities]
