"""Parameters of SAE training, and of the sweep over widths and sparsities."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from mazewm.io.params import Params

Activation = Literal["relu", "topk", "batch_topk"]


Count = Annotated[int, Field(gt=0)]


Sparsity = Annotated[float, Field(gt=0)]


class Point(NamedTuple):
    """One point of the sweep: what it varies."""

    width: int  # latents
    sparsity: float  # active latents per token (k); for relu the weight of the L1 penalty


class SaeParams(Params):
    """The section ``sae`` of params.yaml. A sample is the activation at one token."""

    activation: Activation
    widths: Annotated[list[Count], Field(min_length=1)]
    sparsities: Annotated[list[Sparsity], Field(min_length=1)]  # as in Point
    lr: Annotated[float, Field(gt=0)]
    aux_weight: Annotated[float, Field(ge=0)]  # of the AuxK loss
    # a latent is dead if it was inactive for this share of the samples of the training
    dead_share: Annotated[float, Field(gt=0, lt=1)]
    n_sweep_samples: Count  # to train each point of the sweep
    n_samples: Count  # to train the SAE at the operating point, and its second seed
    n_control_samples: Count  # to train the SAEs that are controls
    # where connections are read: SAEs with different seeds, the trained one and its second seed
    # among them, and SAEs with random decoders, of which the first is the control elsewhere
    n_seeds: Annotated[int, Field(ge=2)]
    n_frozen: Count
    n_frozen_samples: Count  # to train each of the latter but the first
    n_sweep_mazes: Count  # validation mazes on which each point is evaluated
    n_evaluated_mazes: Count  # test mazes for the splice of the chosen SAE
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
        """The points of the sweep: every width with every sparsity."""
        return [Point(width, sparsity) for width in self.widths for sparsity in self.sparsities]
