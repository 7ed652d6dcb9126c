"""Positional encodings, the independent variable of the study. Each is one class; all else in the
transformer is the same.

A class can act at three points, and by default does nothing: ``on_embed`` changes the residual
stream before the first block, ``on_qk`` changes queries and keys, and ``on_scores`` returns what is
added to the attention scores (None for nothing).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mazewm.io.errors import BadInput

Positions = Int[Tensor, " pos"]


class NoPositions(nn.Module):
    """No positional encoding: the model can infer positions only from the causal mask (Kazemnejad
    et al. 2023). Base class of the other encodings."""

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__()

    def on_embed(
        self, resid: Float[Tensor, "batch pos d_model"], positions: Positions
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream before the first block, given the token embeddings."""
        return resid

    def on_qk(
        self, q_or_k: Float[Tensor, "batch head pos d_head"], positions: Positions
    ) -> Float[Tensor, "batch head pos d_head"]:
        """Queries or keys as attention uses them."""
        return q_or_k

    def on_scores(
        self, queries: Int[Tensor, " query"], keys: Int[Tensor, " key"]
    ) -> Float[Tensor, "head query key"] | None:
        """What is added to the attention scores, given positions; None for nothing."""
        return None


class Learned(NoPositions):
    """A trained vector for each absolute position, as in GPT-2 and in the paper's model "Stan"."""

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__(n_ctx, d_model, n_heads)
        self.W_pos = nn.Parameter(torch.randn(n_ctx, d_model) * 0.02)

    def on_embed(
        self, resid: Float[Tensor, "batch pos d_model"], positions: Positions
    ) -> Float[Tensor, "batch pos d_model"]:
        return resid + self.W_pos[positions]


class Sinusoidal(NoPositions):
    """Fixed sines and cosines of each absolute position (Vaswani et al. 2017, section 3.5), scaled
    to the standard deviation of the initial embedding. BadInput for an odd d_model."""

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
    """Rotary encoding: half of the dimensions of queries and keys are rotated by an angle
    proportional to position (Su et al. 2021, eq. 34). The planes pair the first half of these with
    the second. The other dimensions are not rotated, as with ``rotary_dim`` of GPT-J and GPT-NeoX;
    the paper's model "Terry" rotates all.

    Positions affect scores only through the offset between query and key. BadInput if d_head is
    less than 4."""

    cos: Tensor
    sin: Tensor

    def __init__(self, n_ctx: int, d_model: int, n_heads: int) -> None:
        super().__init__(n_ctx, d_model, n_heads)
        d_head = d_model // n_heads
        self.n_turned = d_head // 4 * 2  # even, since planes are pairs of dimensions
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
    """ALiBi: a penalty on the scores that is linear in the distance between query and key, with
    slope 2^(-8(h+1)/n_heads) for head h, counted from 0 (Press et al. 2022, section 3)."""

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
    """The class of a positional encoding, by its name in ENCODINGS; BadInput for another name."""
    if name not in ENCODINGS:
        raise BadInput(f"encoding: expected one of {list(ENCODINGS)}, found {name!r}.")
    return ENCODINGS[name]
