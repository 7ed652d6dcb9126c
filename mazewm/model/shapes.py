"""The axes, named once, and the tensors that rooms hand to each other.

``batch`` mazes, ``pos`` positions in a sequence, ``asked`` those of them that are wanted, ``query``
and ``key`` positions seen by attention, ``head``, ``d_model``, ``d_head``, ``d_mlp``, ``vocab``,
``latent`` (units of an SAE), ``cell``, ``connection``.
"""

from jaxtyping import Float, Int
from torch import Tensor

Tokens = Int[Tensor, "batch pos"]
Logits = Float[Tensor, "batch asked vocab"]
Resid = Float[Tensor, "batch pos d_model"]
ResidAsked = Float[Tensor, "batch asked d_model"]
PerHead = Float[Tensor, "batch head pos d_head"]
PerKey = Float[Tensor, "batch head key d_head"]
