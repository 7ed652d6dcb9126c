"""The transformer: pre-norm blocks of causal attention and an MLP, with one forward pass and one ``tap``.

Attention is the fused kernel unless the tap looks inside it; then it is spelled out, so that scores and patterns can be read
and replaced. A test holds the two equal. Weights multiply from the right and carry the field's names. Per-head weights are stored as
matrices ``[d_model, head * d_head]``, because Muon orthogonalises matrices; ``Attention.W_Q`` and the like give the head
axis.
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from mazewm import devices, weights
from mazewm.errors import BadInput
from mazewm.model.positions import NoPositions, Positions, encoding_class
from mazewm.model.sites import Place, Site, Tap, looks_inside_attention
from mazewm.params import Params, check
from mazewm.shapes import Logits, PerHead, PerKey, Resid, Tokens

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


class KeysValues:
    """What a rollout keeps of the positions already read: keys and values of every layer, up to ``n_ctx`` positions."""

    def __init__(self, params: TransformerParams, n_batch: int, n_ctx: int, device: torch.device) -> None:
        shape = (params.n_layers, n_batch, params.n_heads, n_ctx, params.d_model // params.n_heads)
        self.keys, self.values = torch.empty(shape, device=device), torch.empty(shape, device=device)
        self.length = 0

    def extend(self, layer: int, k: PerHead, v: PerHead) -> tuple[PerKey, PerKey]:
        """Append to a layer and return all of its keys and values; the last layer's turn completes the step."""
        end = self.length + k.shape[2]
        self.keys[layer, :, :, self.length : end], self.values[layer, :, :, self.length : end] = k, v
        if layer == len(self.keys) - 1:
            self.length = end
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def keep(self, rows: Bool[Tensor, " batch"]) -> None:
        """Forget the sequences that are not among ``rows``."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]


class Reading(NamedTuple):
    """What one forward pass carries through the blocks beside the residual stream."""

    positions: Positions
    encoding: NoPositions
    tap: Tap | None
    past: KeysValues | None


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        d, self.n_heads = params.d_model, params.n_heads
        self.Q, self.K, self.V, self.O = (nn.Parameter(torch.randn(d, d) * d**-0.5) for _ in range(4))
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

    def forward(self, normed: Resid, layer: int, reading: Reading) -> Resid:
        queries, encoding, tap, past = reading
        q, k, v = ((normed @ W).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for W in (self.Q, self.K, self.V))
        q, k = encoding.on_qk(q, queries), encoding.on_qk(k, queries)
        if tap is not None:
            q, k, v = (tap(Place(layer, site), value) for site, value in ((Site.Q, q), (Site.K, k), (Site.V, v)))
        if past is not None:
            k, v = past.extend(layer, k, v)
        keys = torch.arange(k.shape[2], device=normed.device)
        bias = encoding.on_scores(queries, keys)
        if tap is not None and looks_inside_attention(tap):
            z = self._spelled_out(q, k, v, queries, keys, bias, layer, tap)
        else:
            z = self._fused(q, k, v, queries, keys, bias)
        if tap is not None:
            z = tap(Place(layer, Site.Z), z)
        return z.transpose(1, 2).flatten(2) @ self.O + self.b_O

    @staticmethod
    def _fused(q: PerHead, k: PerKey, v: PerKey, queries: Tensor, keys: Tensor, bias: Tensor | None) -> PerHead:
        if bias is None and len(queries) == len(keys):
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if bias is None and len(queries) == 1:
            return F.scaled_dot_product_attention(q, k, v)
        future = keys[None, :] > queries[:, None]
        mask = torch.zeros(len(queries), len(keys), device=q.device) if bias is None else bias
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask.masked_fill(future, -torch.inf))

    @staticmethod
    def _spelled_out(q: PerHead, k: PerKey, v: PerKey, queries: Tensor, keys: Tensor, bias: Tensor | None, layer: int, tap: Tap) -> PerHead:
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if bias is not None:
            scores = scores + bias
        scores = tap(Place(layer, Site.SCORES), scores)
        pattern = scores.masked_fill(keys[None, :] > queries[:, None], -torch.inf).softmax(dim=-1)
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
        mlp_post = tap(Place(layer, Site.MLP_POST), F.relu(tap(Place(layer, Site.MLP_PRE), mlp_pre)))
        return mlp_post @ self.W_out + self.b_out


class Block(nn.Module):
    """Attention and MLP, each reading the normalised residual stream and adding to it."""

    def __init__(self, params: TransformerParams) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(params.d_model), nn.LayerNorm(params.d_model)
        self.attn, self.mlp = Attention(params), MLP(params)

    def forward(self, resid_pre: Resid, layer: int, reading: Reading) -> Resid:
        tap = reading.tap
        if tap is None:
            resid_mid = resid_pre + self.attn(self.norm1(resid_pre), layer, reading)
            return resid_mid + self.mlp(self.norm2(resid_mid), layer, None)
        resid_pre = tap(Place(layer, Site.RESID_PRE), resid_pre)
        attn_out = tap(Place(layer, Site.ATTN_OUT), self.attn(self.norm1(resid_pre), layer, reading))
        resid_mid = tap(Place(layer, Site.RESID_MID), resid_pre + attn_out)
        mlp_out = tap(Place(layer, Site.MLP_OUT), self.mlp(self.norm2(resid_mid), layer, tap))
        return tap(Place(layer, Site.RESID_POST), resid_mid + mlp_out)


class Transformer(nn.Module):
    """Tokens -> logits of the next token."""

    def __init__(self, params: TransformerParams, encoding: str, d_vocab: int, n_ctx: int) -> None:
        super().__init__()
        self.params, self.encoding_name, self.d_vocab, self.n_ctx = params, encoding, d_vocab, n_ctx
        self.encoding = encoding_class(encoding)(n_ctx, params.d_model, params.n_heads)
        self.W_E = nn.Parameter(torch.randn(d_vocab, params.d_model) * 0.02)
        self.blocks = nn.ModuleList(Block(params) for _ in range(params.n_layers))
        self.norm_final = nn.LayerNorm(params.d_model)
        self.W_U = nn.Parameter(torch.randn(params.d_model, d_vocab) * params.d_model**-0.5)

    def forward(self, tokens: Tokens, tap: Tap | None = None, past: KeysValues | None = None) -> Logits:
        """Logits at every given position. ``past`` holds earlier positions, and is extended by these."""
        start = past.length if past is not None else 0
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        resid = self.encoding.on_embed(self.W_E[tokens], positions)
        reading = Reading(positions, self.encoding, tap, past)
        for layer, block in enumerate(self.layers):
            resid = block(resid, layer, reading)
        return self.norm_final(resid) @ self.W_U

    def silence(self) -> None:
        """Let every block start by adding nothing, as training does; without it a new transformer is the untrained control."""
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
        """Write weights and config to one file."""
        config = {"params": self.params.model_dump(), "encoding": self.encoding_name, "d_vocab": self.d_vocab, "n_ctx": self.n_ctx}
        weights.save(path, KIND, config, self)

    @classmethod
    def load(cls, path: Path) -> "Transformer":
        """Read what ``save`` wrote, ready for use on the best device."""
        config, tensors = weights.load(path, KIND)
        missing = [key for key in ("params", "encoding", "d_vocab", "n_ctx") if key not in config]
        if missing:
            raise BadInput(f"{path}: config: the key {missing[0]} is missing.")
        params = check(TransformerParams, config["params"], f"{path}: config")
        try:
            model = cls(params, config["encoding"], config["d_vocab"], config["n_ctx"])
        except BadInput as error:
            raise BadInput(f"{path}: config: {error}") from None
        weights.restore(path, model, tensors)
        return model.to(devices.best()).eval().requires_grad_(False)
