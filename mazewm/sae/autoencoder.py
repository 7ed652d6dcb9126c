"""The sparse autoencoder: ``z = act((x - b_dec) W_enc + b_enc)``, ``x_hat = z W_dec + b_dec``.

There are five architectures, which differ in activation function and loss:

* ``relu``: trained with an L1 penalty, as in the paper (Bricken et al. 2023).
* ``topk``: keeps the k largest latents of each token (Gao et al. 2024, eq. 3).
* ``batch_topk``: in training keeps the k n largest latents of a batch of n tokens; afterwards those
  above a threshold (Bussmann et al. 2024).
* ``matryoshka``: as ``batch_topk``, and trained such that prefixes of the dictionary reconstruct,
  each by itself (Bussmann et al. 2025, arXiv 2503.17547).
* ``jumprelu``: keeps the latents above thresholds, one for each (Rajamanoharan et al. 2024). Not
  trained here; SAEs that were trained elsewhere can be of this kind.

In SAEs that are trained here, decoder directions (rows of ``W_dec``) have unit norm, so that a
latent's value is the length of what it adds to the residual stream.
"""

from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from mazewm.io import weights
from mazewm.io.params import Params, check
from mazewm.model import devices
from mazewm.sae.params import Architecture

KIND = "sparse autoencoder"
# after training, latents above a threshold are active
THRESHOLDED = ("batch_topk", "matryoshka", "jumprelu")

Acts = Float[Tensor, "*any d_model"]
LatentActs = Float[Tensor, "*any latent"]


class SaeShape(Params):
    """The architecture of an SAE."""

    activation: Architecture
    d_model: Annotated[int, Field(gt=0)]
    n_latents: Annotated[int, Field(gt=0)]
    k: Annotated[int, Field(gt=0)]  # active latents per token; not used by relu

    @model_validator(mode="after")
    def _k_latents_are_there(self) -> "SaeShape":
        if self.activation == "topk" and self.k > self.n_latents:
            raise ValueError(f"k must be at most n_latents = {self.n_latents}")
        return self


class SparseAutoencoder(nn.Module):
    """A sparse autoencoder. After training, THRESHOLDED ones keep the latents above ``threshold``.

    >>> shape = SaeShape(activation="topk", d_model=16, n_latents=64, k=4)
    >>> sae, x = SparseAutoencoder(shape), torch.randn(10, 16)
    >>> sae.encode(x).shape, sae(x).shape
    (torch.Size([10, 64]), torch.Size([10, 16]))
    >>> bool(((sae.encode(x) > 0).sum(dim=-1) <= 4).all())
    True
    """

    threshold: Tensor

    def __init__(self, shape: SaeShape) -> None:
        super().__init__()
        self.shape = shape
        directions = nn.functional.normalize(torch.randn(shape.n_latents, shape.d_model), dim=1)
        self.W_dec = nn.Parameter(directions)
        self.W_enc = nn.Parameter(directions.T.clone())
        self.b_enc = nn.Parameter(torch.zeros(shape.n_latents))
        self.b_dec = nn.Parameter(torch.zeros(shape.d_model))
        thresholds = (shape.n_latents,) if shape.activation == "jumprelu" else ()
        self.register_buffer("threshold", torch.zeros(thresholds))

    @property
    def device(self) -> torch.device:
        return self.W_enc.device

    def pre_activation(self, x: Acts) -> LatentActs:
        """The latents before ``activate``: linear, with negative values set to zero."""
        return torch.relu((x - self.b_dec) @ self.W_enc + self.b_enc)

    def encode(self, x: Acts) -> LatentActs:
        """The latents ``z``, all at least 0."""
        return self.activate(self.pre_activation(x))

    def activate(self, pre: LatentActs) -> LatentActs:
        """The pre-activations with all but the active latents set to zero."""
        if self.shape.activation == "topk":
            kept = pre.topk(self.shape.k, dim=-1)
            return torch.zeros_like(pre).scatter(-1, kept.indices, kept.values)
        if self.shape.activation in THRESHOLDED:
            return pre * (pre > self.threshold)
        return pre

    def decode(self, latents: LatentActs) -> Acts:
        """The reconstruction ``x_hat`` from latents."""
        return latents @ self.W_dec + self.b_dec

    def forward(self, x: Acts) -> Acts:
        """The reconstruction of ``x``."""
        return self.decode(self.encode(x))

    def save(self, path: Path) -> None:
        """Write weights and shape to one safetensors file."""
        weights.save(path, KIND, self.shape.model_dump(), self)

    @classmethod
    def load(cls, path: Path) -> "SparseAutoencoder":
        """Read a file that ``save`` wrote. The SAE is on the best device, in evaluation mode and
        without gradients. BadInput if the file is missing or broken."""
        config, tensors = weights.load(path, KIND)
        shape = check(SaeShape, config, f"{path}: config")
        weights.check_sizes(path, tensors, {"W_enc": (shape.d_model, shape.n_latents)})
        sae = cls(shape)
        weights.restore(path, sae, tensors)
        return sae.to(devices.best()).eval().requires_grad_(False)
