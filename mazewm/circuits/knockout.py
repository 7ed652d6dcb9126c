"""What becomes of a connection's latent when heads are ablated at the token where the connection is
read.

1. A maze is spelled once and gives one of its connections, e, drawn among those that have a latent.
2. At the token of e, and there only, the outputs z of the chosen heads are replaced: ``mean``, by
   the head's mean over the tokens of this class in all mazes; ``resample``, by what the head put
   out at a random token of this class in another maze (the same token for all heads, so that what
   they say agrees).
3. ``effect_own = 1 - sum z_ablated / sum z_clean`` of e's best latent at that token, over the mazes
   that gave e: 1 is knocked out, 0 is untouched, below 0 is stronger than before.
4. ``effect_other``: the same for the latents of the maze's other connections at their own tokens,
   which are not ablated. After block 0 it is 0 by construction, for block 0 reads nothing but
   embeddings; above, it says what leaks.

Heads: each one of blocks 0 to the site's (``"0.3"``), ``binding``, ``connectivity``, ``others``
(all of these blocks but the binding ones) and ``all``; sets without heads are left out. A
connection whose latents are silent is left out, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.circuits.attention import BindingHead
from mazewm.circuits.readable import Readable
from mazewm.inference.edits import Edit, Taps, replace_heads, run_blocks
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.tokens import Encoded, connection_positions
from mazewm.model.shapes import Resid, Tokens
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer

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


class Batch(NamedTuple):
    """Equally long mazes, and the connection that each of them gives."""

    maze: Int[np.ndarray, " maze"]
    encoded: Encoded
    nth: Int[np.ndarray, " maze"]  # which of its connections each maze gives
    tokens: Tokens
    # the best latent of every connection at its own token, without ablation
    latents: Float[Tensor, "maze nth"]
    # by layer, what the heads put out at the tokens of all connections
    z: dict[int, Float[Tensor, "token head d_head"]]

    @property
    def given(self) -> Int[np.ndarray, " maze"]:
        """The connection that each maze gives."""
        return self.encoded.order[np.arange(len(self.nth)), self.nth]

    @property
    def owner(self) -> Int[np.ndarray, " token"]:
        """The maze that each of the tokens of ``z`` belongs to."""
        return np.repeat(self.maze, self.encoded.n_connections)


class Replacements(NamedTuple):
    """What the heads' outputs are replaced by."""

    z: dict[int, Float[Tensor, "token head d_head"]]  # of all batches, by layer
    mean: dict[int, Float[Tensor, "head d_head"]]
    # for each batch, the token of another maze that each maze is given
    donors: list[Int[Tensor, " maze"]]


def head_sets(
    n_layers: int, n_heads: int, named: Mapping[str, Sequence[BindingHead]]
) -> dict[str, list[tuple[int, int]]]:
    """What is ablated, by name: single heads, the named sets, all heads but the binding ones, and
    all."""
    every = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    sets = {f"{layer}.{head}": [(layer, head)] for layer, head in every}
    sets |= {name: [(h.layer, h.head) for h in heads] for name, heads in named.items()}
    if sets.get("binding"):
        sets["others"] = [head for head in every if head not in sets["binding"]]
    return {name: heads for name, heads in (sets | {"all": every}).items() if heads}


def best_latents_at(known: Readable, resid: Resid, encoded: Encoded) -> Float[Tensor, "maze nth"]:
    """The best latent of every connection at its own token; 0 for connections that have none."""
    latent = torch.from_numpy(known.latents_of(encoded.order)).to(resid.device)
    at = connection_positions(encoded.n_connections, known.location.token_class)
    return known.sae.encode(resid[:, at]).gather(2, latent.clamp_min(0)[..., None])[..., 0] * (
        latent >= 0
    )


def read_clean(subject: Subject, known: Readable, rng: np.random.Generator) -> Iterator[Batch]:
    """The lists of all mazes, read without ablation up to the block of the location."""
    model, layers = subject.model, range(known.location.layer + 1)
    for maze, encoded in subject.encoded(rng):
        # Nothing after the adjacency list can reach back to it.
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
    """Means over all tokens of the class, and for each maze a token of another one."""
    z = {layer: torch.cat([batch.z[layer] for batch in batches]) for layer in batches[0].z}
    owner = np.concatenate([batch.owner for batch in batches])
    donors = [
        torch.from_numpy(_draw_donors(rng, batch.maze, owner)).to(batch.tokens.device)
        for batch in batches
    ]
    return Replacements(z, {layer: values.mean(dim=0) for layer, values in z.items()}, donors)


def _draw_donors(rng: np.random.Generator, maze: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """For each maze of a batch, a random token that belongs to another maze."""
    donors = rng.integers(len(owner), size=len(maze))
    while (own := owner[donors] == maze).any():
        donors[own] = rng.integers(len(owner), size=own.sum())
    return donors


class Knockout:
    """The mazes of one location, read clean, and ready to be read again with heads ablated."""

    def __init__(
        self,
        model: Transformer,
        known: Readable,
        batches: Sequence[Batch],
        instead: Replacements,
        n_connections: int,
    ) -> None:
        self.model, self.known, self.batches, self.instead, self.n_connections = (
            model,
            known,
            batches,
            instead,
            n_connections,
        )

    def sums(
        self, latents: Iterable[Float[Tensor, "maze nth"]]
    ) -> Float[np.ndarray, "connection 2"]:
        """Of each connection that is given, the sum of its own latents, and of those of its mazes'
        other connections."""
        total = np.zeros((self.n_connections, 2))
        for batch, each in zip(self.batches, latents, strict=True):
            values = each.cpu().double().numpy()
            own = values[np.arange(len(values)), batch.nth]
            np.add.at(total, batch.given, np.stack([own, values.sum(axis=1) - own], axis=1))
        return total

    def ablated(self, heads: HeadSet, ablation: str) -> Iterator[Float[Tensor, "maze nth"]]:
        """The latents of every batch with heads ablated at the token of the connection that each
        maze gives."""
        layers = range(self.known.location.layer + 1)
        for batch, donor in zip(self.batches, self.instead.donors, strict=True):
            positions = connection_positions(
                batch.encoded.n_connections, self.known.location.token_class
            )
            at = torch.from_numpy(positions[batch.nth])[:, None].to(batch.tokens.device)
            edits: list[Edit] = []
            for layer in sorted({layer for layer, _ in heads}):
                chosen = [head for at_layer, head in heads if at_layer == layer]
                values = (
                    self.instead.mean[layer][None, chosen]
                    if ablation == "mean"
                    else self.instead.z[layer][donor][:, chosen]
                )
                edits.append(replace_heads(Place(layer, Site.Z), chosen, at, values[:, :, None]))
            resid = run_blocks(self.model, self.model.embed(batch.tokens), layers, Taps(edits))
            yield best_latents_at(self.known, resid, batch.encoded)

    def counts(self) -> Int[np.ndarray, " connection"]:
        """How many mazes give each connection."""
        return np.bincount(
            np.concatenate([batch.given for batch in self.batches]), minlength=self.n_connections
        )


@torch.inference_mode()
def knock_out(
    subject: Subject, known: Readable, named: Mapping[str, Sequence[BindingHead]]
) -> list[KnockoutRow]:
    """Effects for every set of heads, both ablations and every connection whose latent fires."""
    rng, model = subject.rng("knock-outs"), subject.model
    batches = list(read_clean(subject, known, rng))
    study = Knockout(
        model, known, batches, replacements(batches, rng), subject.mazes.grid.n_connections
    )
    clean, n = study.sums(batch.latents for batch in batches), study.counts()
    measured = [e for e in known.connections if (clean[e] > 0).all()]
    rows = []
    # a named set may be a single head, or all of them
    seen: dict[tuple[str, HeadSet], np.ndarray] = {}
    for name, heads in head_sets(known.location.layer + 1, model.params.n_heads, named).items():
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
