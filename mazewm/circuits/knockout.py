"""What becomes of a connection's latent when heads are ablated at the token where the connection is read.

1. A maze is spelled once and gives one of its connections, e, drawn among those that have a latent.
2. At the token of e, and there only, the outputs z of the chosen heads are replaced: ``mean``, by the head's mean over the
   tokens of this class in all mazes; ``resample``, by what the head put out at a random token of this class in another maze
   (the same token for all heads, so that what they say agrees).
3. ``effect_own = 1 - sum z_ablated / sum z_clean`` of e's best latent at that token, over the mazes that gave e: 1 is
   knocked out, 0 is untouched, below 0 is stronger than before.
4. ``effect_other``: the same for the latents of the maze's other connections at their own tokens, which are not ablated.
   After block 0 it is 0 by construction, for block 0 reads nothing but embeddings; above, it says what leaks.

Heads: each one of blocks 0 to the site's (``"0.3"``), ``binding``, ``connectivity``, ``others`` (all of these blocks but the
binding ones) and ``all``; sets without heads are left out. A connection whose latents are silent is left out, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mazewm import tables
from mazewm.circuits.attention import BindingHead
from mazewm.consolidation import SpellingSite
from mazewm.maze.mazes import Mazes
from mazewm.model.edits import Edit, Taps, replace_heads
from mazewm.model.reading import Layout
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.shapes import Resid, Tokens
from mazewm.tokens import Spelled, prompt_length, spell, spelling_positions

HeadSet = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class KnockoutRow:
    """One set of heads, ablated at one connection's tokens."""

    site: tables.Text
    ablation: tables.Text  # mean, resample
    heads: tables.Text  # "0.3", binding, connectivity, others, all
    connection: tables.Int
    effect_own: tables.Real
    effect_other: tables.Real
    n: tables.Int  # mazes that gave the connection


class Chosen(NamedTuple):
    """A batch of equally long mazes and the connection that each of them gives."""

    maze: np.ndarray  # numbers of the mazes
    spelled: Spelled
    nth: np.ndarray  # which of its connections each maze gives
    tokens: Tensor
    donor: Tensor  # the token, among those of all mazes, that each maze's resampled outputs come from
    clean: Tensor  # its own latents without ablation, [maze, nth]


def blocks(model: Transformer, resid: Resid, layers: range, taps: Taps) -> Resid:
    """The residual stream of whole texts after ``layers``, given that before them."""
    reading = model.reading(Layout.sequence(resid.shape[1], resid.device), taps)
    resid = model.run_blocks(resid, reading, layers.start, layers.stop)
    taps.check()
    return resid


def embed(model: Transformer, tokens: Tokens) -> Resid:
    """The residual stream of whole texts before block 0."""
    return model.embed(tokens, Layout.sequence(tokens.shape[1], tokens.device))


def head_sets(model: Transformer, site: SpellingSite, named: Mapping[str, Sequence[BindingHead]]) -> dict[str, list[tuple[int, int]]]:
    """What is ablated, by name: single heads, the named sets, all heads but the binding ones, and all."""
    every = [(layer, head) for layer in range(site.layer + 1) for head in range(model.params.n_heads)]
    sets = {f"{layer}.{head}": [(layer, head)] for layer, head in every}
    sets |= {name: [(h.layer, h.head) for h in heads] for name, heads in named.items()}
    if sets.get("binding"):
        sets["others"] = [head for head in every if head not in sets["binding"]]
    return {name: heads for name, heads in (sets | {"all": every}).items() if heads}


class _Knockout:
    """The mazes of one site: spelled, read clean once, and ready to be read again with heads ablated."""

    def __init__(
        self,
        model: Transformer,
        sae: SparseAutoencoder,
        best_latent: Mapping[int, int],
        site: SpellingSite,
        mazes: Mazes,
        seed: int,
        batch: int,
    ) -> None:
        self.model, self.sae, self.site, self.n_connections = model, sae, site, mazes.grid.n_connections
        self.latent_of = torch.tensor([best_latent.get(e, -1) for e in range(self.n_connections)])
        self.layers = range(site.layer + 1)
        rng = np.random.default_rng([seed, 3])
        places = [Place(layer, Site.Z) for layer in self.layers]
        z: dict[int, list[Tensor]] = {layer: [] for layer in self.layers}
        owner: list[np.ndarray] = []
        self.batches: list[Chosen] = []
        for index in mazes.by_n_connections().values():
            for start in range(0, len(index), batch):
                part = index[start : start + batch]
                spelled = spell(mazes[part], rng)
                # Nothing after the adjacency list can reach back to it.
                tokens = torch.from_numpy(spelled.tokens[:, : prompt_length(spelled.n_connections) - 8]).to(model.device)
                at = spelling_positions(spelled.n_connections, site.token_class)
                taps = Taps(record=places)
                resid = blocks(model, embed(model, tokens), self.layers, taps)
                for layer in self.layers:
                    z[layer].append(taps.values[Place(layer, Site.Z)][:, :, at].transpose(1, 2).flatten(0, 1))
                owner.append(np.repeat(part, len(at)))
                nth = (rng.random(spelled.order.shape) * (self.latent_of.numpy()[spelled.order] >= 0)).argmax(axis=1)
                self.batches.append(Chosen(part, spelled, nth, tokens, torch.empty(0), self._latents(resid, spelled)))
        self.z = {layer: torch.cat(parts) for layer, parts in z.items()}
        self.mean = {layer: values.mean(dim=0) for layer, values in self.z.items()}
        owners = np.concatenate(owner)
        self.batches = [b._replace(donor=torch.from_numpy(_draw_donors(rng, b.maze, owners)).to(model.device)) for b in self.batches]

    def _latents(self, resid: Resid, spelled: Spelled) -> Tensor:
        """The best latent of every connection at its own token; 0 for connections that have none."""
        at = spelling_positions(spelled.n_connections, self.site.token_class)
        latent = self.latent_of[torch.from_numpy(spelled.order)].to(resid.device)
        return self.sae.encode(resid[:, at]).gather(2, latent.clamp_min(0)[..., None])[..., 0] * (latent >= 0)

    def sums(self, heads: HeadSet | None, ablation: str) -> np.ndarray:
        """``[connection, own | other]``: summed latents, without ablation if ``heads`` is None."""
        total = np.zeros((self.n_connections, 2))
        for b in self.batches:
            latents = (b.clean if heads is None else self._ablated(b, heads, ablation)).cpu().double().numpy()
            rows = np.arange(len(latents))
            own = latents[rows, b.nth]
            np.add.at(total, b.spelled.order[rows, b.nth], np.stack([own, latents.sum(axis=1) - own], axis=1))
        return total

    def _ablated(self, b: Chosen, heads: HeadSet, ablation: str) -> Tensor:
        """The latents of a batch with heads ablated at the token of the connection that each maze gives."""
        at = torch.from_numpy(spelling_positions(b.spelled.n_connections, self.site.token_class)[b.nth])[:, None].to(b.tokens.device)
        edits: list[Edit] = []
        for layer in sorted({layer for layer, _ in heads}):
            chosen = [head for at_layer, head in heads if at_layer == layer]
            values = self.mean[layer][None, chosen] if ablation == "mean" else self.z[layer][b.donor][:, chosen]
            edits.append(replace_heads(Place(layer, Site.Z), chosen, at, values[:, :, None]))
        resid = blocks(self.model, embed(self.model, b.tokens), self.layers, Taps(edits))
        return self._latents(resid, b.spelled)

    def counts(self) -> np.ndarray:
        """How many mazes give each connection."""
        given = np.concatenate([b.spelled.order[np.arange(len(b.nth)), b.nth] for b in self.batches])
        return np.bincount(given, minlength=self.n_connections)


def _draw_donors(rng: np.random.Generator, index: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """For each maze of a batch, a random token that belongs to another maze."""
    donors = rng.integers(len(owners), size=len(index))
    while (own := owners[donors] == index).any():
        donors[own] = rng.integers(len(owners), size=own.sum())
    return donors


@torch.inference_mode()
def knock_out(
    model: Transformer,
    sae: SparseAutoencoder,
    best_latent: Mapping[int, int],
    site: SpellingSite,
    named: Mapping[str, Sequence[BindingHead]],
    mazes: Mazes,
    seed: int,
    batch: int,
) -> list[KnockoutRow]:
    """Effects for every set of heads, both ablations and every connection whose latent fires."""
    study = _Knockout(model, sae, best_latent, site, mazes, seed, batch)
    clean, n = study.sums(None, ""), study.counts()
    measured = [e for e in range(mazes.grid.n_connections) if e in best_latent and (clean[e] > 0).all()]
    rows = []
    seen: dict[tuple[str, HeadSet], np.ndarray] = {}
    for name, heads in head_sets(model, site, named).items():
        for ablation in ("mean", "resample"):
            key = (ablation, tuple(sorted(heads)))  # a named set may be a single head, or all of them
            if key not in seen:
                seen[key] = study.sums(heads, ablation)
            ablated = seen[key]
            for e in measured:
                own, other = 1 - ablated[e] / clean[e]
                rows.append(KnockoutRow(str(site), ablation, name, e, float(own), float(other), int(n[e])))
    return rows
