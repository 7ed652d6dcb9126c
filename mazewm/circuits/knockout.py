"""How much of a connection's latent is lost when heads are ablated at the token where the
connection is read (docs/science.md#knock-out).

1. Each maze is encoded once, and one of its connections, e, is drawn among those that have a
   latent.
2. At the token of e, and only there, the outputs z of the chosen heads are replaced: with ``mean``,
   by the head's mean over the tokens of this class in all other mazes; with ``resample``, by the
   head's output at a random token of this class in another maze (the same token for all heads).
3. ``effect_own = 1 - sum z_ablated / sum z_clean``, where z is the activation of e's best latent at
   that token, summed over the mazes from which e was drawn. 1: the latent is knocked out; 0: it is
   unchanged; below 0: it is stronger than before.
4. ``effect_other``: the same for the latents of the maze's other connections at their own tokens,
   where nothing is ablated. At a site after block 0 it is 0 by construction, since block 0 reads
   only embeddings; at later sites it measures how far the ablation reaches other tokens.

Sets of heads: each single head of all blocks up to the site's (``"0.3"``), ``binding``,
``connectivity``, ``others`` (all heads of these blocks but the binding ones) and ``all``. Sets
without heads are left out, and so are connections whose latents are silent without ablation.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.circuits.attention import BindingHead
from mazewm.circuits.binding import Head, all_heads
from mazewm.circuits.readable import Readable
from mazewm.inference.edits import Edit, Taps, replace_heads, run_blocks
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import Encoded, connection_positions
from mazewm.model.shapes import Resid, Tokens
from mazewm.model.sites import Place, Site

HeadSet = Sequence[Head]


@dataclass(frozen=True)
class KnockoutRow:
    """One set of heads, ablated at one connection's tokens."""

    site: tables.Text
    ablation: tables.Text  # mean, resample
    heads: tables.Text  # "0.3", binding, connectivity, others, all
    connection: tables.Int
    effect_own: tables.Real  # share of the latent's activation that is lost
    effect_other: tables.Real
    n: tables.Int  # mazes from which the connection was drawn


class Batch(NamedTuple):
    """Mazes with equally many connections, and the connection that is drawn from each."""

    maze: Int[np.ndarray, " maze"]
    encoded: Encoded
    nth: Int[np.ndarray, " maze"]  # the place of the drawn connection in the list
    tokens: Tokens
    # the best latent of every connection at its own token, without ablation
    latents: Float[Tensor, "maze nth"]
    # by layer, the outputs of the heads at the tokens of all connections
    z: dict[int, Float[Tensor, "token head d_head"]]

    @property
    def given(self) -> Int[np.ndarray, " maze"]:
        """The connection that is drawn from each maze."""
        return self.encoded.order[np.arange(len(self.nth)), self.nth]

    @property
    def owner(self) -> Int[np.ndarray, " token"]:
        """The maze that each of the tokens of ``z`` belongs to."""
        return np.repeat(self.maze, self.encoded.n_connections)


class Replacements(NamedTuple):
    """What replaces the heads' outputs."""

    z: dict[int, Float[Tensor, "token head d_head"]]  # of all batches, by layer
    # for each batch, by layer and for each of its mazes, the mean over the tokens of other mazes
    means: list[dict[int, Float[Tensor, "maze head d_head"]]]
    # for each batch and maze, the token of another maze whose outputs replace its own
    donors: list[Int[Tensor, " maze"]]


def sets_to_ablate(
    every: list[Head], named: Mapping[str, Sequence[BindingHead]]
) -> dict[str, list[Head]]:
    """The sets of heads to ablate, by name: each of ``every`` single head, the named sets,
    ``others`` (all but the binding heads) and ``all``.

    >>> binding = {"binding": [BindingHead(0, 1, own_mass=0.8)]}
    >>> list(sets_to_ablate([(0, 0), (0, 1)], binding).items())[2:]
    [('binding', [(0, 1)]), ('others', [(0, 0)]), ('all', [(0, 0), (0, 1)])]
    """
    sets = {f"{layer}.{head}": [(layer, head)] for layer, head in every}
    sets |= {name: [(h.layer, h.head) for h in heads] for name, heads in named.items()}
    if sets.get("binding"):
        sets["others"] = [head for head in every if head not in sets["binding"]]
    return {name: heads for name, heads in (sets | {"all": every}).items() if heads}


def best_latents_at(known: Readable, resid: Resid, encoded: Encoded) -> Float[Tensor, "maze nth"]:
    """The activation of every connection's best latent at its own token; 0 for connections without
    one."""
    latent = torch.from_numpy(known.latents_of(encoded.order)).to(resid.device)
    at = connection_positions(encoded.n_connections, known.location.token_class)
    return known.sae.encode(resid[:, at]).gather(2, latent.clamp_min(0)[..., None])[..., 0] * (
        latent >= 0
    )


def read_clean(subject: Subject, known: Readable, rng: np.random.Generator) -> Iterator[Batch]:
    """Run the adjacency lists of all mazes without ablation, up to the block of the location, and
    draw a connection from each."""
    model, layers = subject.transformer, range(known.location.layer + 1)
    for maze, encoded in subject.encoded(rng):
        # Attention is causal: tokens after the adjacency list cannot affect it.
        tokens = torch.from_numpy(encoded.lists[:, :-1]).to(model.device)
        at = connection_positions(encoded.n_connections, known.location.token_class)
        taps = Taps(record=[Place(layer, Site.Z) for layer in layers])
        resid = run_blocks(model, model.embed(tokens), layers, taps)
        z = {
            layer: taps.values[Place(layer, Site.Z)][:, :, at].transpose(1, 2).flatten(0, 1)
            for layer in layers
        }
        has_latent = np.isin(encoded.order, known.connections)
        nth = (rng.random(encoded.order.shape) * has_latent).argmax(axis=1)
        yield Batch(maze, encoded, nth, tokens, best_latents_at(known, resid, encoded), z)


def replacements(batches: Sequence[Batch], rng: np.random.Generator) -> Replacements:
    """For each maze the mean outputs over all tokens of the class in other mazes, and a token of
    another maze. BadInput if there is no other one."""
    z = {layer: torch.cat([batch.z[layer] for batch in batches]) for layer in batches[0].z}
    owner = np.concatenate([batch.owner for batch in batches])
    donors = [
        torch.from_numpy(_draw_donors(rng, batch.maze, owner)).to(batch.tokens.device)
        for batch in batches
    ]
    means = [
        {layer: _mean_of_others(batch, layer, values) for layer, values in z.items()}
        for batch in batches
    ]
    return Replacements(z, means, donors)


def _mean_of_others(
    batch: Batch, layer: int, z: Float[Tensor, "token head d_head"]
) -> Float[Tensor, "maze head d_head"]:
    """For each maze of a batch the mean of all tokens ``z`` but its own."""
    own = batch.z[layer].unflatten(0, (len(batch.maze), -1))
    return (z.sum(dim=0) - own.sum(dim=1)) / (len(z) - own.shape[1])


def _draw_donors(rng: np.random.Generator, maze: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """For each maze of a batch, a random token that belongs to another maze. BadInput if there is
    no other one."""
    if (owner == owner[0]).all():
        raise BadInput(
            "params.yaml: circuits.n_mazes: expected at least 2 mazes, since what is ablated in "
            "one is replaced by values of others, found 1."
        )
    donors = rng.integers(len(owner), size=len(maze))
    while (own := owner[donors] == maze).any():
        donors[own] = rng.integers(len(owner), size=own.sum())
    return donors


@dataclass(frozen=True)
class Knockout:
    """The clean runs at one location, ready to be repeated with heads ablated."""

    subject: Subject
    known: Readable
    batches: list[Batch]
    instead: Replacements

    @classmethod
    @torch.inference_mode()
    def of(cls, subject: Subject, known: Readable) -> "Knockout":
        """Read the mazes, draw a connection from each, and what replaces its heads' outputs."""
        rng = subject.rng("knock-outs")
        batches = list(read_clean(subject, known, rng))
        return cls(subject, known, batches, replacements(batches, rng))

    def sums(
        self, latents: Iterable[Float[Tensor, "maze nth"]]
    ) -> Float[np.ndarray, "connection 2"]:
        """Summed activations for each drawn connection: of its own latent, and of the latents of
        the other connections in the same mazes."""
        total = np.zeros((self.subject.mazes.grid.n_connections, 2))
        for batch, each in zip(self.batches, latents, strict=True):
            values = each.cpu().double().numpy()
            own = values[np.arange(len(values)), batch.nth]
            np.add.at(total, batch.given, np.stack([own, values.sum(axis=1) - own], axis=1))
        return total

    def ablated(self, heads: HeadSet, ablation: str) -> Iterator[Float[Tensor, "maze nth"]]:
        """The latents of every batch with ``heads`` ablated at the token of each maze's drawn
        connection; ``ablation`` is ``mean`` or ``resample``."""
        for batch, resid in self._resid(heads, ablation):
            yield best_latents_at(self.known, resid, batch.encoded)

    def values(self, heads: HeadSet) -> Float[np.ndarray, "maze latent"]:
        """The activations of the best latents of all known connections at the token of each maze's
        drawn connection, with ``heads`` replaced by their means there."""
        latents = torch.tensor([self.known.best_latent[e] for e in self.known.connections])
        found = list[np.ndarray]()
        for batch, resid in self._resid(heads, "mean"):
            rows = torch.arange(len(resid), device=resid.device)
            z = self.known.sae.encode(resid[rows, self._at(batch)])
            found.append(z[:, latents.to(z.device)].cpu().double().numpy())
        return np.concatenate(found)

    def _at(self, batch: Batch) -> Int[Tensor, " maze"]:
        """The position of each maze's drawn connection."""
        positions = connection_positions(
            batch.encoded.n_connections, self.known.location.token_class
        )
        return torch.from_numpy(positions[batch.nth]).to(batch.tokens.device)

    def _resid(self, heads: HeadSet, ablation: str) -> Iterator[tuple[Batch, Resid]]:
        """The residual stream after the location's block, with ``heads`` ablated."""
        model, layers = self.subject.transformer, range(self.known.location.layer + 1)
        parts = zip(self.batches, self.instead.means, self.instead.donors, strict=True)
        for batch, means, donor in parts:
            edits: list[Edit] = []
            for layer in sorted({layer for layer, _ in heads}):
                chosen = [head for at_layer, head in heads if at_layer == layer]
                values = (
                    means[layer][:, chosen]
                    if ablation == "mean"
                    else self.instead.z[layer][donor][:, chosen]
                )
                place, at = Place(layer, Site.Z), self._at(batch)[:, None]
                edits.append(replace_heads(place, chosen, at, values[:, :, None]))
            yield batch, run_blocks(model, model.embed(batch.tokens), layers, Taps(edits))

    def counts(self) -> Int[np.ndarray, " connection"]:
        """From how many mazes each connection is drawn."""
        given = np.concatenate([batch.given for batch in self.batches])
        return np.bincount(given, minlength=self.subject.mazes.grid.n_connections)


@torch.inference_mode()
def knock_out(study: Knockout, named: Mapping[str, Sequence[BindingHead]]) -> list[KnockoutRow]:
    """Effects for every set of heads, both kinds of ablation and every connection whose latent is
    active without ablation."""
    known = study.known
    clean, n = study.sums(batch.latents for batch in study.batches), study.counts()
    measured = [e for e in known.connections if (clean[e] > 0).all()]
    rows = []
    # a named set may be a single head, or all of them
    seen: dict[tuple[str, HeadSet], np.ndarray] = {}
    every = all_heads(range(known.location.layer + 1), study.subject.transformer)
    for name, heads in sets_to_ablate(every, named).items():
        for ablation in ("mean", "resample"):
            key = (ablation, tuple(sorted(heads)))
            if key not in seen:
                seen[key] = study.sums(study.ablated(heads, ablation))
            for e in measured:
                own, other = 1 - seen[key][e] / clean[e]
                rows.append(
                    KnockoutRow(
                        site=str(known.location),
                        ablation=ablation,
                        heads=name,
                        connection=e,
                        effect_own=float(own),
                        effect_other=float(other),
                        n=int(n[e]),
                    )
                )
    return rows
