"""Training steps, against TransformerLens and Hugging Face: ``python -m benchmarks training_step``.

The first line is the same work for all: logits, mean cross-entropy of every next token, backward
pass, fused AdamW. The second compares our whole step (which also draws and encodes mazes, and uses
Muon) with that step of theirs, so ours does more.

The limit is the rate at which the machine multiplies float32 matrices of the shapes of a step: the
product of the forward pass and both products of the backward pass. A sequence of T tokens takes
6 N T floating point operations for N parameters in matrices, and 6 L d T^2 for causal attention in
L layers of width d.
"""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from benchmarks import counterparts, ours
from benchmarks.pairing import OURS, Contender, Line, race, rate, rows
from mazewm.model.transformer import Transformer

N_SEQUENCES = 64
TOLERANCE = 1e-4  # of logits
PEERS = ("transformer-lens", "transformers")
N_PROFILED = 5
Logits = Callable[[Tensor], Tensor]


def adamw_step(logits: Logits, parameters: Iterable[Tensor], tokens: Tensor) -> Contender:
    """A contender: forward pass, loss, backward pass and AdamW, always on the same tokens."""
    opt = torch.optim.AdamW(parameters, lr=1e-3, fused=True)

    def step() -> float:
        F.cross_entropy(logits(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
        opt.step()
        opt.zero_grad(set_to_none=True)
        return len(tokens)

    return step


def peers(model: Transformer) -> dict[str, tuple[Logits, Any]]:
    """Their models with our weights, each as a function from tokens to logits and as a module."""
    lens, hf = counterparts.hooked(model), counterparts.gpt2(model)
    return {PEERS[0]: (lens, lens), PEERS[1]: (lambda tokens: hf(tokens).logits, hf)}


def multiplied(model: Transformer, tokens: Tensor) -> Contender:
    """A contender that makes only the products of a step with weight matrices, and returns their
    floating point operations."""
    n = tokens[:, :-1].numel()
    pairs = []
    for weight in [p for block in model.layers for p in block.parameters() if p.ndim == 2] + [
        model.W_U
    ]:
        rows, cols = weight.shape
        pairs.append((torch.randn(n, rows), torch.randn(rows, cols), torch.randn(n, cols)))

    def products() -> float:
        for x, weight, grad in pairs:
            x @ weight
            grad @ weight.T
            x.T @ grad
        return float(sum(6 * n * weight.numel() for _, weight, _ in pairs))

    return products


def operations(model: Transformer, tokens: Tensor) -> float:
    """Floating point operations of the matrix products of a training step, for one sequence."""
    n_tokens = tokens.shape[1] - 1
    in_matrices = (
        sum(p.numel() for block in model.layers for p in block.parameters() if p.ndim == 2)
        + model.W_U.numel()
    )
    attention = 6 * model.params.n_layers * model.params.d_model * n_tokens**2
    return 6.0 * in_matrices * n_tokens + attention


def account(step: Contender) -> dict[str, float]:
    """The share of a step's time that each of torch's ten slowest operators takes itself, and that
    of all others."""
    step()
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(N_PROFILED):
            step()
    spent = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
    total = sum(spent.values())
    largest = sorted(spent, key=lambda name: -spent[name])[:10]
    shares = {name: round(spent[name] / total, 4) for name in largest}
    return shares | {"all others": round(1 - sum(shares.values()), 4)}


def same_logits(model: Transformer, theirs: dict[str, tuple[Logits, Any]], tokens: Tensor) -> str:
    """A sentence that says how close the logits are; RuntimeError if they differ by more than
    TOLERANCE."""
    with torch.no_grad():
        expected = model(tokens)
        apart = max(float((logits(tokens) - expected).abs().max()) for logits, _ in theirs.values())
    if not apart < TOLERANCE:
        raise RuntimeError(
            f"training_step: expected equal logits within {TOLERANCE}, found {apart:.1e} apart."
        )
    return f"same weights, logits of {tokens.numel():,} tokens within {apart:.0e}"


def run() -> list[dict[str, Any]]:
    """The rows of this benchmark: both lines of work, for both peers."""
    model, tokens = ours.untrained().train(), ours.sequences(N_SEQUENCES)
    theirs = peers(model)
    checked = same_logits(model, theirs, tokens)
    contenders = {OURS: adamw_step(model, model.parameters(), tokens)}
    contenders |= {
        name: adamw_step(logits, peer.parameters(), tokens)
        for name, (logits, peer) in theirs.items()
    }
    machine, of_one = multiplied(model, tokens), operations(model, tokens)
    shape = f"{len(tokens)} sequences of {tokens.shape[1] - 1} tokens"
    line = Line(
        "training step, AdamW",
        f"forward, loss on every token, backward, fused AdamW; {shape}",
        "sequences/s",
        checked,
    )
    rates = race(contenders)
    limit = rate(machine, 1.0) / of_one
    found = rows(line, rates, statistics.median(rates[OURS]) / limit)
    found[0]["account"] = account(contenders[OURS])

    contenders[OURS] = ours.whole_step(ours.untrained().train())
    line = Line(
        "training step, whole",
        "ours as the pipeline trains: four questions a list, encoded, Muon; theirs as above",
        "sequences/s",
        "not the same work: a list is read once for four sequences of ours; tests hold that equal",
    )
    whole = rows(line, race(contenders))
    whole[0]["account"] = account(contenders[OURS])
    return found + whole
