"""The transformer: pre-norm blocks of causal attention and an MLP, with one ``tap`` for all hooks.

A row of a batch is an ordinary sequence, or an adjacency list followed by many questions about it
(module ``reading``). Attention uses the fused kernel, unless the tap uses scores or patterns: then
it is computed step by step, with equal results. Weights multiply from the right and have the usual
names. Per-head weights are stored as matrices ``[d_model, head * d_head]``, because Muon
orthogonalises matrices; ``Attention.W_Q`` and the like have a head axis."""

from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from mazewm.io import weights
from mazewm.io.errors import BadInput
from mazewm.io.params import Params, check
from mazewm.model import devices
from mazewm.model.interface import Model
from mazewm.model.positions import encoding_class
from mazewm.model.reading import Layout, Prefix, Reading
from mazewm.model.shapes import Logits, PerHead, PerKey, Resid, ResidAsked, Tokens
from mazewm.model.sites import Place, Site
from mazewm.model.taps import Tap, looks_inside_attention

Count = Annotated[int, Field(gt=0)]
KIND = "transformer"


class TransformerParams(Params):
    """The architecture, the same for every positional encoding."""

    n_layers: Count
    d_model: Count
    n_heads: Count
    d_mlp: Count

    @model_validator(mode="after")
    def _heads_divide_the_model(self) -> "TransformerParams":
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model must be a multiple of n_heads = {self.n_heads}")
        return self


class _Config(Params):
    """What a file of weights says of its transformer."""

    params: TransformerParams
    encoding: str
    d_vocab: Count
    n_ctx: Annotated[int, Field(gt=0, le=2**20)]  # more than mazes need whose cells have numbers


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        d, self.n_heads = params.d_model, params.n_heads
        self.Q, self.K, self.V, self.O = (
            nn.Parameter(torch.randn(d, d) * d**-0.5) for _ in range(4)
        )
        self.b_O = nn.Parameter(torch.zeros(d))

    @property
    def W_Q(self) -> Float[Tensor, "head d_model d_head"]:
        return self.Q.unflatten(1, (self.n_heads, -1)).transpose(0, 1)

    @property
    def W_K(self) -> Float[Tensor, "head d_model d_head"]:
        return self.K.unflatten(1, (self.n_heads, -1)).transpose(0, 1)

    @property
    def W_V(self) -> Float[Tensor, "head d_model d_head"]:
        return self.V.unflatten(1, (self.n_heads, -1)).transpose(0, 1)

    @property
    def W_O(self) -> Float[Tensor, "head d_head d_model"]:
        return self.O.unflatten(0, (self.n_heads, -1))

    def forward(self, normed: Resid, layer: int, reading: Reading, since: int) -> ResidAsked:
        """The output of attention at the positions from ``since`` on."""
        encoding, tap, position = reading.encoding, reading.tap_of(layer), reading.layout.position
        # One product with all three matrices is faster than three.
        q, k, v = (
            (normed @ torch.cat([self.Q, self.K, self.V], dim=1))
            .unflatten(-1, (3, self.n_heads, -1))
            .permute(2, 0, 3, 1, 4)
        )
        q, k = encoding.on_qk(q[:, :, since:], position[since:]), encoding.on_qk(k, position)
        if tap is not None:
            q, k, v = (
                tap(Place(layer, site), value)
                for site, value in ((Site.Q, q), (Site.K, k), (Site.V, v))
            )
        if reading.kept is not None:
            reading.kept.keys.append(k)
            reading.kept.values.append(v)
        if q.shape[2] == 0:
            return normed[:, since:]
        if reading.after is not None:
            k = torch.cat([reading.after.keys[layer], k], dim=2)
            v = torch.cat([reading.after.values[layer], v], dim=2)
        if tap is not None and looks_inside_attention(tap):
            z = self._explicit(q, k, v, reading, since, layer, tap)
        elif reading.is_plain and since == 0:
            z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            z = F.scaled_dot_product_attention(q, k, v, attn_mask=reading.mask[..., since:, :])
        if tap is not None:
            z = tap(Place(layer, Site.Z), z)
        return z.transpose(1, 2).flatten(2) @ self.O + self.b_O

    @staticmethod
    def _explicit(
        q: PerHead, k: PerKey, v: PerKey, reading: Reading, since: int, layer: int, tap: Tap
    ) -> PerHead:
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if reading.bias is not None:
            scores = scores + reading.bias[:, since:]
        scores = tap(Place(layer, Site.SCORES), scores)
        pattern = scores.masked_fill(reading.mask[..., since:, :].isneginf(), -torch.inf).softmax(
            dim=-1
        )
        return tap(Place(layer, Site.PATTERN), pattern) @ v


class MLP(nn.Module):
    """One hidden layer of ReLU neurons."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        self.W_in = nn.Parameter(torch.randn(params.d_model, params.d_mlp) * params.d_model**-0.5)
        self.b_in = nn.Parameter(torch.zeros(params.d_mlp))
        self.W_out = nn.Parameter(torch.randn(params.d_mlp, params.d_model) * params.d_mlp**-0.5)
        self.b_out = nn.Parameter(torch.zeros(params.d_model))

    def forward(self, normed: Resid, layer: int, tap: Tap | None) -> Resid:
        mlp_pre = normed @ self.W_in + self.b_in
        if tap is None:
            return F.relu(mlp_pre) @ self.W_out + self.b_out
        mlp_post = tap(
            Place(layer, Site.MLP_POST), F.relu(tap(Place(layer, Site.MLP_PRE), mlp_pre))
        )
        return mlp_post @ self.W_out + self.b_out


class Block(nn.Module):
    """Attention and MLP, each reading the normalised residual stream and adding to it."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(params.d_model), nn.LayerNorm(params.d_model)
        self.attn, self.mlp = Attention(params), MLP(params)

    def forward(self, resid_pre: Resid, layer: int, reading: Reading, since: int = 0) -> ResidAsked:
        """The residual stream after the block at the positions from ``since`` on, given the
        residual stream before it at all positions."""
        tap = reading.tap_of(layer)
        if tap is None:
            resid_mid = resid_pre[:, since:] + self.attn(
                self.norm1(resid_pre), layer, reading, since
            )
            return resid_mid + self.mlp(self.norm2(resid_mid), layer, None)
        resid_pre = tap(Place(layer, Site.RESID_PRE), resid_pre)
        attn_out = tap(
            Place(layer, Site.ATTN_OUT), self.attn(self.norm1(resid_pre), layer, reading, since)
        )
        resid_mid = tap(Place(layer, Site.RESID_MID), resid_pre[:, since:] + attn_out)
        mlp_out = tap(Place(layer, Site.MLP_OUT), self.mlp(self.norm2(resid_mid), layer, tap))
        return tap(Place(layer, Site.RESID_POST), resid_mid + mlp_out)


class Transformer(Model):
    """A decoder-only transformer, from tokens to logits of the next token. BadInput for an unknown
    positional ``encoding``, or one that does not fit the architecture.

    >>> params = TransformerParams(n_layers=2, d_model=32, n_heads=2, d_mlp=64)
    >>> model = Transformer(params, "rotary", d_vocab=36, n_ctx=100)
    >>> tokens = torch.zeros(4, 10, dtype=torch.long)
    >>> model(tokens).shape  # batch, position, vocabulary
    torch.Size([4, 10, 36])
    >>> def without_mlp_0(place: Place, value: Tensor) -> Tensor:
    ...     return value * 0 if place == Place(0, Site.MLP_OUT) else value
    >>> bool((model(tokens, without_mlp_0) == model(tokens)).all())
    False
    """

    params: TransformerParams

    def __init__(self, params: TransformerParams, encoding: str, d_vocab: int, n_ctx: int) -> None:
        super().__init__()
        self.params, self.encoding_name, self.d_vocab, self.n_ctx = params, encoding, d_vocab, n_ctx
        self.encoding = encoding_class(encoding)(n_ctx, params.d_model, params.n_heads)
        self.W_E = nn.Parameter(torch.randn(d_vocab, params.d_model) * 0.02)
        self.blocks = nn.ModuleList(Block(params) for _ in range(params.n_layers))
        self.norm_final = nn.LayerNorm(params.d_model)
        self.W_U = nn.Parameter(torch.randn(params.d_model, d_vocab) * params.d_model**-0.5)

    def reading(
        self,
        layout: Layout,
        tap: Tap | None = None,
        after: Prefix | None = None,
        kept: Prefix | None = None,
    ) -> Reading:
        """What a forward pass with this transformer's positional encoding hands to every block."""
        return Reading.of(self.encoding, layout, tap, after, kept)

    def embed(self, tokens: Tokens, layout: Layout | None = None) -> Resid:
        """The residual stream before the first block. Without a layout, every row is an ordinary
        sequence."""
        layout = layout or Layout.sequence(tokens.shape[1], tokens.device)
        return self.encoding.on_embed(self.W_E[tokens], layout.position)

    def run_blocks(
        self,
        resid: Resid,
        reading: Reading,
        start: int = 0,
        stop: int | None = None,
        since: int = 0,
    ) -> ResidAsked:
        """The residual stream after blocks ``start`` to ``stop - 1`` (by default the last), given
        that before block ``start``. The result has only the positions from ``since`` on."""
        stop = self.params.n_layers if stop is None else stop
        for layer in range(start, stop):
            resid = self.layers[layer](resid, layer, reading, since if layer == stop - 1 else 0)
        return resid if start < stop else resid[:, since:]

    def unembed(self, resid: ResidAsked) -> Logits:
        """Logits of the next token, from the residual stream after the last block."""
        return self.norm_final(resid) @ self.W_U

    def untrained(self, seed: int) -> "Transformer":
        """A transformer of the same architecture with random weights, a control. They are drawn on
        the CPU, so that they are the same for every device."""
        torch.manual_seed(seed)
        twin = Transformer(self.params, self.encoding_name, self.d_vocab, self.n_ctx).to(
            self.device
        )
        return twin.eval().requires_grad_(False)

    def silence(self) -> None:
        """Zero the output weights of attention and MLP, so that every block adds nothing. Training
        starts like this; the untrained control (``untrained``) keeps its random output weights."""
        for block in self.layers:
            nn.init.zeros_(block.attn.O)
            nn.init.zeros_(block.mlp.W_out)

    @property
    def layers(self) -> list[Block]:
        """The blocks, in order."""
        return [block for block in self.blocks if isinstance(block, Block)]

    @property
    def device(self) -> torch.device:
        return self.W_E.device

    def save(self, path: Path) -> None:
        """Write weights and config to one safetensors file."""
        config = {
            "params": self.params.model_dump(),
            "encoding": self.encoding_name,
            "d_vocab": self.d_vocab,
            "n_ctx": self.n_ctx,
        }
        weights.save(path, KIND, config, self)

    @classmethod
    def load(cls, path: Path) -> "Transformer":
        """Read a file that ``save`` wrote. The model is on the best device, in evaluation mode and
        without gradients. BadInput if the file is missing or broken."""
        found, tensors = weights.load(path, KIND)
        config = check(_Config, found, f"{path}: config")
        params, n_layers = config.params, sum(name.endswith(".attn.Q") for name in tensors)
        if params.n_layers != n_layers:
            raise BadInput(
                f"{path}: the weights do not fit their own config: expected n_layers = {n_layers}, "
                f"as many as there are weights of, found {params.n_layers}."
            )
        sizes = {"W_E": (config.d_vocab, params.d_model), "W_in": (params.d_model, params.d_mlp)}
        weights.check_sizes(path, tensors, sizes)
        try:
            model = cls(params, config.encoding, config.d_vocab, config.n_ctx)
        except BadInput as error:
            raise BadInput(f"{path}: config: {error}") from None
        weights.restore(path, model, tensors)
        return model.to(devices.best()).eval().requires_grad_(False)
