"""Quality of an SAE on held-out mazes: explained variance, L0, dead latents, and what the model can
still do with the SAE spliced in (docs/science.md#sparse-autoencoders).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch.nn import functional as F

from mazewm.inference.behaviour import behave
from mazewm.inference.edits import Edit, Taps
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.activations import Activations
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import PADDING, TokenClass, prompt_length
from mazewm.model.interface import Model
from mazewm.model.sites import Place
from mazewm.model.taps import Tap
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.splice import reconstruction

ALL = "all"


@dataclass(frozen=True)
class DescriptionRow:
    """How well one SAE describes the activations at the tokens of one class (or at all)."""

    place: tables.Text
    sae: tables.Text  # its kind, as in ``files``
    token_class: tables.Text
    explained_variance: tables.Real
    l0: tables.Real  # active latents per token
    n_dead: tables.Int  # latents that were never active on these tokens
    n_tokens: tables.Int


@dataclass(frozen=True)
class SpliceRow:
    """What the model can still do when the SAE's reconstruction replaces the activation at every
    position."""

    place: tables.Text
    n_mazes: tables.Int
    ce_clean: tables.Real  # nats per path token
    ce_spliced: tables.Real
    ce_mean_ablated: tables.Real
    ce_zero_ablated: tables.Real
    loss_recovered: tables.Real  # relative to mean ablation
    # relative to zero ablation, the weaker baseline that libraries report
    loss_recovered_zero: tables.Real
    solved_clean: tables.Real
    solved_spliced: tables.Real


def explained_variance(
    x: Float[np.ndarray, "token d_model"], x_hat: Float[np.ndarray, "token d_model"]
) -> float:
    """``1 - sum |x - x_hat|^2 / sum |x - mean|^2`` over the whole set. Predicting the mean gives 0,
    a perfect reconstruction 1 (docs/science.md#explained-variance). 0 if all rows are equal: there
    is no variance to explain.

    >>> x = np.array([[0.0, 0.0], [2.0, 4.0]])
    >>> explained_variance(x, x_hat=np.array([[1.0, 2.0], [1.0, 2.0]]))
    0.0
    """
    if (x == x[:1]).all():
        return 0.0
    return float(
        1
        - np.square(x - x_hat, dtype=np.float64).sum()
        / np.square(x - x.mean(axis=0, dtype=np.float64)).sum()
    )


def l0(z: Float[np.ndarray, "token latent"]) -> float:
    """The mean number of active latents per token (docs/science.md#l0)."""
    return float((z > 0).sum(axis=1).mean())


@torch.inference_mode()
def latents_of(
    sae: SparseAutoencoder, values: Float[np.ndarray, "token d_model"], batch: int = 8192
) -> Float[np.ndarray, "token latent"]:
    """The latents of many tokens, computed ``batch`` tokens at a time."""
    parts = (
        torch.from_numpy(values[i : i + batch].astype(np.float32)).to(sae.device)
        for i in range(0, len(values), batch)
    )
    return np.concatenate([sae.encode(part).cpu().numpy() for part in parts])


def description(
    name: str,
    place: Place,
    token_class: str,
    sae: SparseAutoencoder,
    x: Float[np.ndarray, "token d_model"],
    z: Float[np.ndarray, "token latent"],
) -> DescriptionRow:
    """Explained variance, L0 and dead latents for the activations ``x``, whose latents are
    ``z``."""
    x_hat = sae.decode(torch.from_numpy(z).to(sae.device)).cpu().numpy()
    is_active = z > 0
    n_dead = int((~is_active.any(axis=0)).sum())
    return DescriptionRow(
        place=str(place),
        sae=name,
        token_class=token_class,
        explained_variance=explained_variance(x.astype(np.float32), x_hat),
        l0=l0(z),
        n_dead=n_dead,
        n_tokens=len(z),
    )


def describe(
    name: str, place: Place, sae: SparseAutoencoder, held_out: Activations
) -> list[DescriptionRow]:
    """The description over all held-out tokens, then one for each token class with at least two
    tokens."""
    z = latents_of(sae, held_out.values)
    rows = [description(name, place, ALL, sae, held_out.values, z)]
    for token_class in map(str, TokenClass):
        keep = held_out.token_class == token_class
        if keep.sum() > 1:
            rows.append(description(name, place, token_class, sae, held_out.values[keep], z[keep]))
    return rows


@torch.inference_mode()
def path_loss(subject: Subject, tap: Tap | None) -> float:
    """The mean cross-entropy in nats of the path's tokens (with ``<PATH_END>``), under a tap."""
    model, total, count = subject.model, 0.0, 0
    for _, encoded in subject.encoded():
        tokens = torch.from_numpy(encoded.tokens).to(model.device)
        first = prompt_length(encoded.n_connections) - 1
        logits = model(tokens[:, :-1], tap)[:, first:].flatten(0, 1)
        wanted = tokens[:, first + 1 :].flatten()
        total += F.cross_entropy(logits, wanted, ignore_index=PADDING, reduction="sum").item()
        count += int((wanted != PADDING).sum())
    return total / count


class Unspliced(NamedTuple):
    """The model without a splice, and with the place ablated: what splices are compared with."""

    ce_clean: float  # nats per path token
    ce_mean_ablated: float
    ce_zero_ablated: float
    solved: Bool[np.ndarray, " maze"]


class Spliced(NamedTuple):
    """The model with an SAE's reconstruction at every position of one place."""

    ce: float  # nats per path token
    solved: Bool[np.ndarray, " maze"]


@dataclass(frozen=True)
class Splicing:
    """A place of a model at which an SAE can be spliced in (docs/science.md#splice)."""

    model: Model
    place: Place
    mean: Float[np.ndarray, " d_model"]  # the mean activation, for mean ablation
    seed: int  # for the random encoding of mazes
    batch: int

    def unspliced(self, mazes: Mazes) -> Unspliced:
        """Loss and rollouts of the model itself, and its loss with mean and zero ablation."""
        average = torch.from_numpy(self.mean.astype(np.float32)).to(self.model.device)
        mean = Edit(self.place, lambda value: average.expand_as(value))
        zero = Edit(self.place, torch.zeros_like)
        return Unspliced(
            ce_clean=self._loss(mazes, None),
            ce_mean_ablated=self._loss(mazes, Taps([mean])),
            ce_zero_ablated=self._loss(mazes, Taps([zero])),
            solved=behave(self._subject(mazes)).solved,
        )

    def spliced(self, sae: SparseAutoencoder, mazes: Mazes) -> Spliced:
        """Loss and rollouts with the SAE spliced in, for the same encodings as ``unspliced``."""
        tap = Taps([reconstruction(self.place, sae)])
        return Spliced(self._loss(mazes, tap), behave(self._subject(mazes), tap).solved)

    def quality(self, sae: SparseAutoencoder, mazes: Mazes) -> SpliceRow:
        """Compare the model with and without the splice."""
        before, after = self.unspliced(mazes), self.spliced(sae, mazes)
        return SpliceRow(
            place=str(self.place),
            n_mazes=len(mazes),
            ce_clean=before.ce_clean,
            ce_spliced=after.ce,
            ce_mean_ablated=before.ce_mean_ablated,
            ce_zero_ablated=before.ce_zero_ablated,
            loss_recovered=loss_recovered(before.ce_mean_ablated, after.ce, before.ce_clean),
            loss_recovered_zero=loss_recovered(before.ce_zero_ablated, after.ce, before.ce_clean),
            solved_clean=float(before.solved.mean()),
            solved_spliced=float(after.solved.mean()),
        )

    def _subject(self, mazes: Mazes) -> Subject:
        return Subject(self.model, mazes, self.seed, self.batch)

    def _loss(self, mazes: Mazes, tap: Taps | None) -> float:
        loss = path_loss(self._subject(mazes), tap)
        if tap is not None:
            tap.check()
        return loss


def loss_recovered(without: float, spliced: float, clean: float) -> float:
    """The share of the loss from ablation that the splice recovers: 1 if the splice is as good as
    the model itself, 0 if it is as bad as the ablation (docs/science.md#loss-recovered). The
    arguments are the cross-entropies with ablation, with the splice, and of the model itself. 0 if
    the ablation costs nothing: nothing is there to recover.

    >>> loss_recovered(without=2.0, spliced=0.5, clean=0.0)
    0.75
    """
    return 0.0 if without == clean else (without - spliced) / (without - clean)
