"""The sweep over widths and sparsities of SAEs.

The SAE of each point is trained on ``n_sweep_samples`` activations and measured on validation mazes
only. Module ``operating_point`` then chooses one of the points.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mazewm.localize.activations import Activations
from mazewm.maze.mazes import Mazes
from mazewm.sae.operating_point import FrontierRow
from mazewm.sae.params import SaeParams
from mazewm.sae.quality import ALL, Splicing, description, latents_of, loss_recovered
from mazewm.sae.training import train


class Detector(NamedTuple):
    """A measure of how well latents identify connections at the validation tokens of one class."""

    token_class: str
    # from the latents of all validation tokens, the Matthews correlation for each connection
    mcc: Callable[[Float[np.ndarray, "token latent"]], Sequence[float]]


def sweep(
    splicing: Splicing,
    detect: Detector,
    train_values: Float[np.ndarray, "token d_model"],
    held_out: Activations,
    mazes: Mazes,
    params: SaeParams,
) -> Iterator[FrontierRow]:
    """Train and measure an SAE for each point; yields one row for each, none of them chosen yet.
    ``held_out`` and ``mazes`` must be from the validation split."""
    before = splicing.unspliced(mazes)
    for point in params.points():
        sae = train(train_values, params, point, splicing.seed, params.n_sweep_samples)
        z = latents_of(sae, held_out.values)
        described = description("", splicing.place, ALL, sae, held_out.values, z)
        after = splicing.spliced(sae, mazes)
        yield FrontierRow(
            place=str(splicing.place),
            token_class=detect.token_class,
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
            mcc=list(detect.mcc(z)),
            is_chosen=False,
        )
