"""Names of tensor axes, and types of the tensors that several packages use.

``batch``: mazes; ``pos``: positions in a sequence; ``asked``: the positions for which a result is
computed; ``query`` and ``key``: positions as attention sees them; ``head``, ``d_model``,
``d_head``, ``d_mlp``, ``vocab``: as usual; ``latent``: units of an SAE; ``cell``, ``connection``:
those of the lattice.
"""

from jaxtyping import Float, Int
from torch import Tensor

Tokens = Int[Tensor, "batch pos"]
Logits = Float[Tensor, "batch asked vocab"]
Resid = Float[Tensor, "batch pos d_model"]
ResidAsked = Float[Tensor, "batch asked d_model"]
PerHead = Float[Tensor, "batch head pos d_head"]
PerKey = Float[Tensor, "batch head key d_head"]
