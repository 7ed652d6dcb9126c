"""What is asked of a model that was trained elsewhere, and how a pass through some of its blocks is
had from it.

**Any model** with one residual stream can enter as an object with the members of ``Foreign``: it
computes logits from tokens, and calls a function with the residual stream before the first block,
after it, after the next one, and so on to the last; what the function returns replaces the stream.
For a module with hooks that is a few lines (docs/exchange.md#in). It must be causal, and logits may
depend on tokens through the residual stream only; the embedding of a token on nothing but itself
and its position. ``ByHook`` checks this on random tokens before anything is measured.

``ByHook`` runs blocks ``start`` to ``stop`` by a whole forward pass on any tokens, in which the
stream before block ``start`` is replaced. That takes longer than a model that can start and stop at
a block, such as a ``HookedTransformer`` (module ``hooked``); the results are the same.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from mazewm.io.errors import BadInput, in_one_line, told
from mazewm.model.shapes import Resid, Tokens

# called with a depth (the number of blocks that were run) and the residual stream there
AtDepth = Callable[[int, Tensor], Tensor]
CLOSE = 1e-3  # relative to the standard deviation: how far apart equal computations may be


class Foreign(Protocol):
    """A model that was trained elsewhere."""

    n_layers: int  # blocks
    d_model: int  # width of the residual stream
    d_vocab: int  # tokens
    n_ctx: int  # the most tokens that it reads at once
    device: torch.device

    def logits(self, tokens: Tensor, at_depth: AtDepth) -> Tensor:
        """Logits of the next token, ``[batch, pos, d_vocab]``, of token ids ``[batch, pos]``.
        ``at_depth`` must be called once with each depth from 0 (the embedding, with all that is
        added to it before the first block) to ``n_layers`` and the residual stream there, ``[batch,
        pos, d_model]``, and its result must replace the stream."""

    def untrained(self, seed: int) -> "Foreign":
        """The same architecture with random weights, a control."""


@runtime_checkable
class Blocks(Protocol):
    """A model that can embed, run some of its blocks, and unembed. Tokens are its own."""

    n_layers: int
    d_model: int
    d_vocab: int
    n_ctx: int
    device: torch.device

    def embed(self, tokens: Tokens) -> Resid:
        """The residual stream before the first block, of sequences from position 0 on."""

    def run(self, resid: Resid, start: int, stop: int, at_depth: AtDepth) -> Resid:
        """The stream at depth ``stop``, given that at ``start``; ``at_depth`` is called at the
        depths between these."""

    def unembed(self, resid: Resid) -> Tensor:
        """Logits, from the stream after the last block."""

    def untrained(self, seed: int) -> "Blocks":
        """The same architecture with random weights."""


class ByHook:
    """A ``Foreign`` model as ``Blocks``. BadInput if it is not what ``Foreign`` asks for."""

    def __init__(self, model: Any) -> None:
        for name in ("n_layers", "d_model", "d_vocab", "n_ctx", "device", "logits", "untrained"):
            if not hasattr(model, name):
                raise BadInput(
                    f"model: expected the members of mazewm.elsewhere.Foreign, found a "
                    f"{type(model).__name__} without {name!r}."
                )
        try:
            self.model, self.device = model, torch.device(model.device)
        except (RuntimeError, TypeError) as error:
            raise BadInput(
                f"model: device: expected one of torch, found {told(model.device)} "
                f"({in_one_line(error)})."
            ) from None
        self.n_layers, self.d_model = model.n_layers, model.d_model
        self.d_vocab, self.n_ctx = model.d_vocab, model.n_ctx
        for name, least in (("n_layers", 1), ("d_model", 1), ("d_vocab", 2), ("n_ctx", 2)):
            found = getattr(model, name)
            if not isinstance(found, Integral) or found < least:
                raise BadInput(
                    f"model: {name}: expected a whole number from {least} on, found {told(found)}."
                )
        self._check()

    def embed(self, tokens: Tokens) -> Resid:
        found: list[Tensor] = []

        def keep(depth: int, resid: Tensor) -> Tensor:
            if depth == 0:
                found.append(resid)
            return resid

        self.model.logits(tokens, keep)
        return found[0]

    def run(self, resid: Resid, start: int, stop: int, at_depth: AtDepth) -> Resid:
        if start == stop:
            return resid
        found: list[Tensor] = []

        def change(depth: int, here: Tensor) -> Tensor:
            if depth == start:
                return resid
            if depth == stop:
                found.append(here)
            return at_depth(depth, here) if start < depth < stop else here

        self.model.logits(self._any_tokens(resid), change)
        return found[0]

    def unembed(self, resid: Resid) -> Tensor:
        # one token at a time, since a row of many questions can be longer than the context
        alone = resid.reshape(-1, 1, self.d_model)
        logits = self.model.logits(
            self._any_tokens(alone), lambda depth, here: alone if depth == self.n_layers else here
        )
        return logits.reshape(*resid.shape[:2], self.d_vocab)

    def untrained(self, seed: int) -> "ByHook":
        return ByHook(self.model.untrained(seed))

    def _any_tokens(self, resid: Resid) -> Tokens:
        """Tokens in place of those that a stream is from; they have no effect (``_check``)."""
        return torch.zeros(resid.shape[:2], dtype=torch.long, device=resid.device)

    @torch.inference_mode()
    def _check(self) -> None:
        """BadInput unless the model keeps the promises of ``Foreign``, on random tokens."""
        rng = torch.Generator().manual_seed(0)
        shape = 4, min(8, self.n_ctx)
        tokens, others = (
            torch.randint(self.d_vocab, shape, generator=rng).to(self.device) for _ in range(2)
        )
        seen: dict[int, Tensor] = {}
        calls: list[int] = []

        def keep(depth: int, resid: Tensor) -> Tensor:
            calls.append(depth)
            seen[depth] = resid
            return resid

        try:
            logits = self.model.logits(tokens, keep)
        except (IndexError, RuntimeError) as error:
            raise BadInput(
                f"model: logits: expected those of {shape[1]} tokens below d_vocab = "
                f"{self.d_vocab}, found an error ({in_one_line(error)})."
            ) from error
        if calls != list(range(self.n_layers + 1)):
            raise BadInput(
                f"model: logits: expected one call of at_depth with each depth from 0 to "
                f"{self.n_layers}, found calls with {calls}."
            )
        _expect("logits", logits, (*shape, self.d_vocab))
        for depth, resid in seen.items():
            _expect(f"the residual stream at depth {depth}", resid, (*shape, self.d_model))
        half = shape[1] // 2
        mixed = torch.cat([tokens[:, :half], others[:, half:]], dim=1)
        later = self.model.logits(mixed, lambda depth, resid: resid)[:, :half]
        if _apart(later, logits[:, :half]):
            raise BadInput(
                "model: expected a causal one, found logits that change when later tokens do."
            )
        alone = self.embed(torch.cat([others[:, :half], tokens[:, half:]], dim=1))[:, half:]
        if _apart(alone, seen[0][:, half:]):
            raise BadInput(
                "model: expected an embedding that depends on a token and its position alone, "
                "found one that changes with other tokens."
            )
        for depth, resid in seen.items():
            done = self.run(resid, depth, self.n_layers, lambda _, here: here)
            if _apart(self.unembed(done), logits):
                raise BadInput(
                    f"model: expected logits that depend on tokens through the residual stream "
                    f"alone, found others when the stream at depth {depth} is put in its place."
                )


def _expect(what: str, value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise BadInput(f"model: logits: expected {what} as a tensor, found {type(value).__name__}.")
    if tuple(value.shape) != shape:
        raise BadInput(
            f"model: logits: expected {what} of shape {shape}, found {tuple(value.shape)}."
        )
    if not value.isfinite().all():
        raise BadInput(f"model: logits: expected finite numbers in {what}, found others.")


def _apart(one: Tensor, other: Tensor) -> bool:
    # so said that numbers which are none count as apart
    return not float((one - other).abs().max()) <= CLOSE * float(other.std())
