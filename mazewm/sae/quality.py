"""How well an SAE describes activations, on held-out mazes (science, "SAE quality")."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional as F

from mazewm import tables
from mazewm.activations import Activations
from mazewm.behaviour import behave
from mazewm.maze.mazes import Mazes
from mazewm.model.edits import Edit, Taps
from mazewm.model.sites import Place, Tap
from mazewm.model.transformer import Transformer
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.splice import reconstruction
from mazewm.tokens import PADDING, TokenClass, prompt_length, spell

ALL = "all"


@dataclass(frozen=True)
class DescriptionRow:
    """How one SAE describes the tokens of one class (or all)."""

    place: tables.Text
    sae: tables.Text  # trained, frozen_decoder or untrained_model
    token_class: tables.Text
    explained_variance: tables.Real
    l0: tables.Real  # active latents per token
    n_dead: tables.Int  # latents that were never active on these tokens
    n_tokens: tables.Int


@dataclass(frozen=True)
class SpliceRow:
    """What the model can still do when it reads the reconstruction at every position."""

    place: tables.Text
    n_mazes: tables.Int
    ce_clean: tables.Real  # nats per path token
    ce_spliced: tables.Real
    ce_mean_ablated: tables.Real
    ce_zero_ablated: tables.Real
    loss_recovered: tables.Real  # against mean ablation
    loss_recovered_zero: tables.Real  # against zero ablation, the weaker baseline that libraries report
    solved_clean: tables.Real
    solved_spliced: tables.Real


def explained_variance(x: Float[np.ndarray, "token d_model"], x_hat: Float[np.ndarray, "token d_model"]) -> float:
    """``1 - sum |x - x_hat|^2 / sum |x - mean|^2`` over the whole set: the mean as a prediction scores exactly 0."""
    return float(1 - np.square(x - x_hat, dtype=np.float64).sum() / np.square(x - x.mean(axis=0, dtype=np.float64)).sum())


@torch.inference_mode()
def encode(sae: SparseAutoencoder, values: Float[np.ndarray, "token d_model"], batch: int = 8192) -> Float[np.ndarray, "token latent"]:
    """Latents of many tokens."""
    parts = [sae.encode(torch.from_numpy(values[i : i + batch].astype(np.float32))).numpy() for i in range(0, len(values), batch)]
    return np.concatenate(parts)


def describe(name: str, place: Place, sae: SparseAutoencoder, held_out: Activations) -> list[DescriptionRow]:
    """Explained variance, L0 and dead latents over all tokens and by token class."""
    latents = encode(sae, held_out.values)
    x = held_out.values.astype(np.float32)
    x_hat = sae.decode(torch.from_numpy(latents)).numpy()
    rows = []
    for token_class in [ALL, *map(str, TokenClass)]:
        keep = slice(None) if token_class == ALL else held_out.token_class == token_class
        z = latents[keep]
        if len(z) < 2:
            continue
        n_dead = int((~(z > 0).any(axis=0)).sum())
        rows.append(
            DescriptionRow(
                str(place), name, token_class, explained_variance(x[keep], x_hat[keep]), float((z > 0).sum(axis=1).mean()), n_dead, len(z)
            )
        )
    return rows


@torch.inference_mode()
def path_loss(model: Transformer, mazes: Mazes, tap: Tap | None, seed: int, batch: int) -> float:
    """Mean cross-entropy of the path's tokens under a tap, in nats."""
    rng, total, count = np.random.default_rng(seed), 0.0, 0
    for index in mazes.by_n_connections().values():
        for start in range(0, len(index), batch):
            spelled = spell(mazes[index[start : start + batch]], rng)
            tokens = torch.from_numpy(spelled.tokens).to(model.device)
            first = prompt_length(spelled.n_connections) - 1
            logits = model(tokens[:, :-1], tap)[:, first:].flatten(0, 1)
            wanted = tokens[:, first + 1 :].flatten()
            total += F.cross_entropy(logits, wanted, ignore_index=PADDING, reduction="sum").item()
            count += int((wanted != PADDING).sum())
    return total / count


def splice_quality(
    place: Place, model: Transformer, sae: SparseAutoencoder, mean: Float[np.ndarray, " d_model"], mazes: Mazes, seed: int, batch: int
) -> SpliceRow:
    """Loss and rollouts with the reconstruction in place of the activation; ``mean`` is the mean activation."""
    average = torch.from_numpy(mean.astype(np.float32))
    taps = {
        "spliced": Taps([reconstruction(place, sae)]),
        "mean": Taps([Edit(place, lambda value: average.expand_as(value))]),
        "zero": Taps([Edit(place, torch.zeros_like)]),
    }
    clean = path_loss(model, mazes, None, seed, batch)
    ce = {name: path_loss(model, mazes, tap, seed, batch) for name, tap in taps.items()}
    solved_clean = behave(model, mazes, np.random.default_rng(seed), batch).solved.mean()
    solved_spliced = behave(model, mazes, np.random.default_rng(seed), batch, taps["spliced"], taps["spliced"]).solved.mean()
    for tap in taps.values():
        tap.check()
    recovered = {name: (ce[name] - ce["spliced"]) / (ce[name] - clean) for name in ("mean", "zero")}
    return SpliceRow(
        str(place),
        len(mazes),
        clean,
        ce["spliced"],
        ce["mean"],
        ce["zero"],
        recovered["mean"],
        recovered["zero"],
        float(solved_clean),
        float(solved_spliced),
    )
