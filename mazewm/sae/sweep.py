"""The sweep over widths and sparsities, and the operating point: which SAE the study goes on with.

Each point is trained on ``n_sweep_samples`` activations and measured on validation mazes only. The operating point is, among the
points whose splice loses at most TOLERANCE of the mazes (or, if none does, those that lose the fewest), the sparsest, and of
equally sparse ones the narrowest.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from mazewm import tables
from mazewm.activations import Activations
from mazewm.maze.mazes import Mazes
from mazewm.model.sites import Place
from mazewm.model.transformer import Transformer
from mazewm.sae.autoencoder import Activation
from mazewm.sae.quality import ALL, description, encode, loss_recovered, spliced, unspliced
from mazewm.sae.training import Point, SaeParams, train

TOLERANCE = 0.01  # of the mazes

Reals = Annotated[Sequence[float], pa.list_(pa.float64())]
# Latents of the validation tokens -> by connection, the Matthews correlation of what is read from them.
Detector = Callable[[Float[np.ndarray, "token latent"]], Sequence[float]]


@dataclass(frozen=True)
class FrontierRow:
    """One point of the sweep, on validation mazes."""

    place: tables.Text
    token_class: tables.Text  # the tokens that connections are read at
    width: tables.Int
    sparsity: tables.Real  # active latents per token (k); for relu the weight of the L1 penalty
    explained_variance: tables.Real
    l0: tables.Real  # active latents per token
    n_dead: tables.Int
    n_tokens: tables.Int  # behind the three before
    loss_recovered: tables.Real  # against mean ablation
    solved_clean: tables.Real
    solved_spliced: tables.Real
    n_lost: tables.Int  # mazes that are solved without the splice only
    n_gained: tables.Int  # mazes that are solved with it only
    n_mazes: tables.Int
    mcc: Reals  # of the deepest tree, by connection
    is_chosen: tables.Flag


def sweep(
    place: Place,
    token_class: str,
    detect: Detector,
    model: Transformer,
    train_values: Float[np.ndarray, "token d_model"],
    held_out: Activations,
    mazes: Mazes,
    params: SaeParams,
    seed: int,
) -> Iterator[FrontierRow]:
    """One row for each point, none of them chosen yet; ``held_out`` and ``mazes`` are for validation."""
    batch = params.rollout_batch_size
    before = unspliced(place, model, train_values.mean(axis=0, dtype=np.float64), mazes, seed, batch)
    for point in params.points():
        sae = train(train_values, params, point, seed, params.n_sweep_samples)
        z = encode(sae, held_out.values)
        described = description("", place, ALL, sae, held_out.values, z)
        after = spliced(place, model, sae, mazes, seed, batch)
        yield FrontierRow(
            place=str(place),
            token_class=token_class,
            width=point.width,
            sparsity=point.sparsity,
            explained_variance=described.explained_variance,
            l0=described.l0,
            n_dead=described.n_dead,
            n_tokens=described.n_tokens,
            loss_recovered=loss_recovered(before.ce_mean_ablated, after.ce, before.ce_clean),
            solved_clean=float(before.solved.mean()),
            solved_spliced=float(after.solved.mean()),
            n_lost=int((before.solved & ~after.solved).sum()),
            n_gained=int((~before.solved & after.solved).sum()),
            n_mazes=len(mazes),
            mcc=list(detect(z)),
            is_chosen=False,
        )


def choose(rows: Sequence[FrontierRow], activation: Activation) -> list[FrontierRow]:
    """The rows of one place, with the operating point marked."""
    lost = [row.n_lost - row.n_gained for row in rows]
    most = max(min(lost), TOLERANCE * rows[0].n_mazes + 1e-9)  # whole mazes, so nothing lies in the last digit
    sparser = -1 if activation == "relu" else 1  # a heavier penalty leaves fewer latents on, a larger k more
    good = [row for row, mazes in zip(rows, lost, strict=True) if mazes <= most]
    best = min(good, key=lambda row: (sparser * row.sparsity, row.width))
    return [replace(row, is_chosen=row is best) for row in rows]


def operating_point(rows: Sequence[FrontierRow]) -> Point:
    """The point that ``choose`` marked."""
    [row] = [row for row in rows if row.is_chosen]
    return Point(row.width, row.sparsity)
