"""Parameters of SAE training, and of the sweep over widths and sparsities."""

from typing import Annotated, Literal, NamedTuple, get_args

from pydantic import Field, model_validator

from mazewm.io.params import Distinct, Params

Activation = Literal["relu", "topk", "batch_topk", "matryoshka"]  # that can be trained
Architecture = Activation | Literal["jumprelu"]  # that can be used


Count = Annotated[int, Field(gt=0)]


Sparsity = Annotated[float, Field(gt=0)]


Share = Annotated[float, Field(gt=0, le=1)]


class Point(NamedTuple):
    """One point of the sweep: what it varies."""

    width: int  # latents
    sparsity: float  # active latents per token (k); for relu the weight of the L1 penalty


class SaeParams(Params):
    """The section ``sae`` of params.yaml. A sample is the activation at one token."""

    activation: Activation
    widths: Annotated[list[Count], Field(min_length=1), Distinct]
    sparsities: Annotated[list[Sparsity], Field(min_length=1), Distinct]  # as in Point
    # the nested dictionaries of matryoshka, as shares of the latents, up to all of them
    prefixes: Annotated[list[Share], Field(min_length=1)]
    lr: Annotated[float, Field(gt=0)]
    # tried for each other architecture, but for relu, whose penalty is tried
    other_lrs: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1), Distinct]
    aux_weight: Annotated[float, Field(ge=0)]  # of the AuxK loss
    # a latent is dead if it was inactive for this share of the samples of the training
    dead_share: Annotated[float, Field(gt=0, lt=1)]
    n_sweep_samples: Count  # to train each point of the sweep
    n_penalties: Count  # penalties of relu that are tried to match the L0 of the operating point
    n_samples: Count  # to train the SAE at the operating point, and as many seeds and architectures
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
                "the sparsities of topk, batch_topk and matryoshka count latents, so they must be "
                "whole"
            )
        return self

    @model_validator(mode="after")
    def _prefixes_are_nested(self) -> "SaeParams":
        if sorted(set(self.prefixes)) != self.prefixes or self.prefixes[-1] != 1:
            raise ValueError("prefixes must increase and end with 1, the whole dictionary")
        return self

    def prefix_ends(self, width: int) -> list[int]:
        """How many latents each of the nested dictionaries of an SAE of this width has; those that
        are equal, because the SAE is small, once."""
        return sorted({max(1, round(share * width)) for share in self.prefixes})

    def other_activations(self) -> list[Activation]:
        """The architectures with which that of the study is compared."""
        return [each for each in get_args(Activation) if each != self.activation]

    def lrs_of(self, activation: Activation) -> list[float]:
        """The learning rates that are tried for an architecture."""
        is_tried = activation not in (self.activation, "relu")
        return self.other_lrs if is_tried else [self.lr]

    def recipe(self, activation: Activation, lr: float) -> "SaeParams":
        """The same recipe for an architecture at a learning rate."""
        return self.model_copy(update={"activation": activation, "lr": lr})

    def points(self) -> list[Point]:
        """The points of the sweep: every width with every sparsity."""
        return [Point(width, sparsity) for width in self.widths for sparsity in self.sparsities]
