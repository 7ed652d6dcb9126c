"""Muon (Jordan et al. 2024) for stacks of matrices: SGD with momentum, whose updates are
orthogonalised.

The update is that of ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"`` (Liu et al. 2025,
section 2.2), computed

1. at once for all matrices that have the same shape, up to transposition: a transformer has few
   such stacks, whatever its depth;
2. in a precision in which the device is fast: bfloat16 on CUDA, float32 elsewhere (a CPU without
   AVX-512 emulates bfloat16, which would take most of the time of a training step).
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

# Coefficients and number of steps of the quintic iteration, as in the original and torch.optim.Muon
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
N_ITERATIONS = 5
EPSILON = 1e-7
UPDATE_SIZE = 0.2  # root mean square of an update's entries, as is typical of AdamW


def orthogonalise(stack: Float[Tensor, "matrix row col"]) -> Float[Tensor, "matrix row col"]:
    """Map every matrix M = U S V' of the stack to about U V', with singular values of about 0.7 to
    1.2, by a Newton-Schulz iteration.

    A matrix must not have more rows than columns: the iteration then works with the smaller of M M'
    and M' M."""
    a, b, c = COEFFICIENTS
    x = stack / stack.norm(dim=(1, 2), keepdim=True).clamp_min(EPSILON)
    for _ in range(N_ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x


class Muon(torch.optim.Optimizer):
    """Muon with decoupled weight decay and Nesterov momentum. ValueError for a parameter that is
    not a matrix.

    The momentum of parameter p is ``state[p]["momentum"]``, so ``state_dict`` works as for any
    torch optimizer."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(
                        "Muon orthogonalises matrices, was given a tensor of shape "
                        f"{tuple(p.shape)}"
                    )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            stacks: dict[tuple[int, int], list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    stacks.setdefault((min(p.shape), max(p.shape)), []).append(p)
            for (_, n_larger), params in stacks.items():
                momenta = [
                    self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in params
                ]
                grads = [p.grad for p in params if p.grad is not None]
                torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
                ahead = torch._foreach_lerp(grads, momenta, group["momentum"])
                low = torch.bfloat16 if params[0].device.type == "cuda" else torch.float32
                updates = orthogonalise(torch.stack([_wide(g) for g in ahead]).to(low)).to(
                    params[0].dtype
                )
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                size = group["lr"] * UPDATE_SIZE * n_larger**0.5
                for p, update in zip(params, updates, strict=True):
                    p.add_(update if p.shape[0] <= p.shape[1] else update.T, alpha=-size)


def _wide(matrix: Float[Tensor, "row col"]) -> Float[Tensor, "smaller larger"]:
    """The matrix, transposed if it has more rows than columns."""
    return matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
