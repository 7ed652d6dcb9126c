"""Positional encodings, the independent variable of the study: one class each, everything else
being equal.

A class says what it adds at three points of attachment, each the identity by default: ``on_embed``
(the residual stream at the start), ``on_qk`` (queries and keys) and ``on_scores`` (what is added to
the attention scores).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mazewm.io.errors import BadInput

Positions = Int[Tensor, " pos"]


class NoPositions(nn.Module):
    """No encoding: position is known through the causal mask alone (Kazemnejad et al. 2023)."""

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__()

    def on_embed(
        self, resid: Float[Tensor, "batch pos d_model"], positions: Positions
    ) -> Float[Tensor, "batch pos d_model"]:
        return resid

    def on_qk(
        self, q_or_k: Float[Tensor, "batch head pos d_head"], positions: Positions
    ) -> Float[Tensor, "batch head pos d_head"]:
        return q_or_k

    def on_scores(
        self, queries: Int[Tensor, " query"], keys: Int[Tensor, " key"]
    ) -> Float[Tensor, "head query key"] | None:
        return None


class Learned(NoPositions):
    """A trained vector for each absolute position (GPT-2); the paper's "Stan"."""

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__(n_ctx, d_model, n_heads)
        self.W_pos = nn.Parameter(torch.randn(n_ctx, d_model) * 0.02)

    def on_embed(
        self, resid: Float[Tensor, "batch pos d_model"], positions: Positions
    ) -> Float[Tensor, "batch pos d_model"]:
        return resid + self.W_pos[positions]


class Sinusoidal(NoPositions):
    """Fixed sines and cosines of each absolute position (Vaswani et al. 2017, section 3.5), at the
    embedding's scale."""

    W_pos: Tensor

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__(n_ctx, d_model, n_heads)
        if d_model % 2:
            raise BadInput(f"encoding sinusoidal: needs an even d_model, found {d_model}.")
        angle = torch.arange(n_ctx)[:, None] * 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
        table = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
        self.register_buffer("W_pos", table * 0.02 * 2**0.5, persistent=False)

    def on_embed(
        self, resid: Float[Tensor, "batch pos d_model"], positions: Positions
    ) -> Float[Tensor, "batch pos d_model"]:
        return resid + self.W_pos[positions]


class Rotary(NoPositions):
    """Half of the dimensions of queries and keys turned by an angle proportional to position (Su et
    al. 2021, eq. 34), the first half of these against the second; the other half is compared
    wherever it is, as in GPT-J and GPT-NeoX (``rotary_dim``).

    The paper's "Terry", which turns all of them. Scores depend on the offset between query and key
    only."""

    cos: Tensor
    sin: Tensor

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__(n_ctx, d_model, n_heads)
        d_head = d_model // n_heads
        self.n_turned = d_head // 4 * 2  # planes are pairs of dimensions
        if not self.n_turned:
            raise BadInput(
                "encoding rotary: needs d_head = d_model / n_heads of at least 4, found "
                f"{d_model} / {n_heads} = {d_head}."
            )
        angle = torch.arange(n_ctx)[:, None] * 10_000.0 ** (
            -torch.arange(0, self.n_turned, 2) / self.n_turned
        )
        self.register_buffer("cos", angle.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", torch.cat([-angle.sin(), angle.sin()], dim=1), persistent=False)

    def on_qk(
        self, q_or_k: Float[Tensor, "batch head pos d_head"], positions: Positions
    ) -> Float[Tensor, "batch head pos d_head"]:
        turned, rest = q_or_k[..., : self.n_turned], q_or_k[..., self.n_turned :]
        turned = (
            turned * self.cos[positions]
            + turned.roll(self.n_turned // 2, dims=-1) * self.sin[positions]
        )
        return torch.cat([turned, rest], dim=-1)


class Alibi(NoPositions):
    """A penalty on the scores, linear in distance, with slope 2^(-8(h+1)/n_heads) for head h (Press
    et al. 2022, section 3)."""

    slopes: Tensor

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__(n_ctx, d_model, n_heads)
        self.register_buffer(
            "slopes", 2.0 ** (-8 * (torch.arange(n_heads) + 1) / n_heads), persistent=False
        )

    def on_scores(
        self, queries: Int[Tensor, " query"], keys: Int[Tensor, " key"]
    ) -> Float[Tensor, "head query key"] | None:
        return -self.slopes[:, None, None] * (queries[:, None] - keys[None, :])


ENCODINGS: dict[str, type[NoPositions]] = {
    "learned": Learned,
    "sinusoidal": Sinusoidal,
    "rotary": Rotary,
    "alibi": Alibi,
    "none": NoPositions,
}


def encoding_class(name: str) -> type[NoPositions]:
    """The class of a positional encoding by name; BadInput if there is none."""
    if name not in ENCODINGS:
        raise BadInput(f"encoding: expected one of {list(ENCODINGS)}, found {name!r}.")
    return ENCODINGS[name]
