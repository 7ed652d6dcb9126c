"""Which heads of later blocks read a connection, and whether they read what latents write in the
same way (docs/science.md#readers).

Pairs of mazes differ in one connection of the list, e in the clean run and f in the other (module
``patching``). After the block of a location, the clean run is changed in one of these ways:

* ``prompt``: everything is as in the run with f in the prompt.
* ``token``: only the token of e at the location is, that is, it is patched.
* ``latents_N``: at this token the N best latents of e are taken away, and those of f get their mean
  activation where f is encoded (N: 1 and MOST); ``mean_difference``: the same with directions.
* ``random_direction``: there a random push as long as that of ``mean_difference``.
* ``site_latents_N``: e's latents are taken away at its token, and f's are written at all tokens of
  the writing site but those of e, as the interventions do, at the best of DOSES on validation
  mazes.

The metric m is the logit difference between the two next cells. With all heads of later blocks
reading the change it is m(all); with none m(none); with all but one, m(h). What head h reads of the
change is ``(m(h) - m(all)) / (m(none) - m(all))``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.circuits.patching import Pairs, logit_difference, read_pairs
from mazewm.circuits.streams import Open, Streams
from mazewm.counterfactuals.swaps import Swaps
from mazewm.inference.edits import Taps, run_blocks
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import Location, WritingSite
from mazewm.maze.tokens import CONNECTION_CLASSES, TOKENS_PER_CONNECTION
from mazewm.model.transformer import Transformer
from mazewm.sae.autoencoder import SparseAutoencoder

MOST = 16  # latents of a connection
DOSES = (1.0, 2.0, 4.0, 8.0)  # of what is written at the writing site
NONE, ALL = "none", "all"
AT_SITE = "site_latents"

Arrows = Float[np.ndarray, "connection d_model"]


@dataclass(frozen=True)
class ReaderRow:
    """The metric of one pair, with the change read by some heads of later blocks."""

    site: tables.Text
    split: tables.Text  # validation, where the dose is chosen, or test
    written: tables.Text  # how the run is changed
    dose: tables.Real  # of what is written at the writing site; 1 for all others
    heads: tables.Text  # none, all, or the head that does not read it, such as "2.1"
    maze_id: tables.Int
    pair: tables.Int  # the number of the swap
    metric: tables.Real  # a logit difference


@dataclass(frozen=True)
class Writable:
    """A location, and what can be written there for every connection."""

    location: Location
    sae: SparseAutoencoder
    ids: Int[np.ndarray, "connection n"]  # latents, the best first
    mean_on: Float[np.ndarray, "connection n"]  # 0 where a connection has fewer latents
    arrows: Arrows  # mean differences
    writing: WritingSite | None  # if it is in the same layer

    @classmethod
    def of(
        cls,
        location: Location,
        sae: SparseAutoencoder,
        ranked: pd.DataFrame,
        arrows: Arrows,
        writing: WritingSite,
    ) -> "Writable":
        """From rows of LatentRow."""
        here = ranked[(ranked.site == str(location)) & (ranked["rank"] < MOST)]
        shape = (len(arrows), int(here["rank"].max()) + 1 if len(here) else 1)
        ids, mean_on = np.zeros(shape, int), np.zeros(shape)
        at = here.connection.to_numpy(), here["rank"].to_numpy()
        ids[at], mean_on[at] = here.latent, here.mean_on
        is_here = writing.source == location
        return cls(location, sae, ids, mean_on, arrows, writing if is_here else None)


class _Way(NamedTuple):
    """One way to change the run: its name, the number of latents (0: none), and the dose."""

    name: str
    n: int = 0
    dose: float = 1.0


class _Batch:
    """A batch of pairs, read up to a location's block."""

    @torch.inference_mode()
    def __init__(self, model: Transformer, pairs: Pairs, swaps: Swaps, known: Writable) -> None:
        self.pairs, self.known = pairs, known
        self.e, self.f = swaps.removed, swaps.added
        layers = range(known.location.layer + 1)
        self.clean, self.other = (
            run_blocks(
                model, model.embed(torch.from_numpy(tokens).to(model.device)), layers, Taps()
            )
            for tokens in (pairs.clean, pairs.corrupted)
        )
        kind = CONNECTION_CLASSES.index(known.location.token_class)
        self.slot = 1 + TOKENS_PER_CONNECTION * pairs.nth
        self.rows = torch.arange(len(self.clean), device=self.clean.device)
        self.own = torch.from_numpy(self.slot + kind).to(self.clean.device)

    def changed(self, way: _Way, noise: Arrows) -> Tensor:
        """The residual stream after the location's block, changed in one way."""
        if way.name == "prompt":
            return self.other
        resid = self.clean.clone()
        here = resid[self.rows, self.own]
        if way.name == "token":
            resid[self.rows, self.own] = self.other[self.rows, self.own]
        elif way.name == "mean_difference":
            arrows = torch.from_numpy(self.known.arrows).to(resid)
            resid[self.rows, self.own] += arrows[self.f] - arrows[self.e]
        elif way.name == "random_direction":
            length = np.linalg.norm(self.known.arrows[self.f] - self.known.arrows[self.e], axis=1)
            push = noise * (length / np.linalg.norm(noise, axis=1))[:, None]
            resid[self.rows, self.own] += torch.from_numpy(push).to(resid)
        else:
            resid[self.rows, self.own] += self._latents(self.e, way.n, here, to=None)
            if way.name.startswith(AT_SITE) and self.known.writing is not None:
                self._write(resid, way, self.known.writing)
            else:
                here = resid[self.rows, self.own]
                resid[self.rows, self.own] += self._latents(self.f, way.n, here, to=1.0)
        return resid

    def _write(self, resid: Tensor, way: _Way, site: WritingSite) -> None:
        """Write f's latents at the writing site's tokens, but not at those of e."""
        for position in site.positions(self.pairs.n_connections):
            is_other = (position < self.slot) | (position >= self.slot + TOKENS_PER_CONNECTION)
            at = self.rows[torch.from_numpy(is_other).to(self.rows.device)], int(position)
            resid[at] += self._latents(self.f[is_other], way.n, resid[at], to=way.dose)

    def _latents(
        self,
        connection: Int[np.ndarray, " row"],
        n: int,
        resid: Float[Tensor, "row d_model"],
        to: float | None,
    ) -> Float[Tensor, "row d_model"]:
        """What to add so that latents get ``to`` times their mean activation, if they have less;
        with None, so that they are silent."""
        ids = torch.from_numpy(self.known.ids[connection, :n]).to(resid.device)
        z = self.known.sae.encode(resid).gather(1, ids)
        if to is None:
            change = -z
        else:
            usual = torch.from_numpy(self.known.mean_on[connection, :n]).to(resid)
            change = (to * usual - z).clamp(min=0)
        return (change[..., None] * self.known.sae.W_dec[ids]).sum(dim=1)


def ways_of(known: Writable) -> list[_Way]:
    """The ways to change a run at a location, with every dose."""
    sizes = sorted({1, known.ids.shape[1]})
    ways = [_Way("prompt"), _Way("token"), _Way("mean_difference"), _Way("random_direction")]
    ways += [_Way(f"latents_{n}", n) for n in sizes]
    if known.writing is not None:
        ways += [_Way(f"{AT_SITE}_{sizes[-1]}", sizes[-1], dose) for dose in DOSES]
    return ways


def measure_readers(
    subject: Subject, swaps: Swaps, chosen_on: Subject, others: Swaps, known: Sequence[Writable]
) -> list[ReaderRow]:
    """What every head of the blocks after each location reads, on swaps of test mazes. The dose at
    the writing site is chosen on ``others``, swaps of validation mazes. Nothing is read after the
    last block."""
    rows = list[ReaderRow]()
    shape = subject.model.params
    for each in known:
        later = range(each.location.layer + 1, shape.n_layers)
        if not later:
            continue
        ways = ways_of(each)
        doubtful = [way for way in ways if way.name.startswith(AT_SITE)]
        tried = list(_Readers(chosen_on, others, each, "validation").measure(doubtful, [ALL]))
        heads = [
            NONE,
            ALL,
            *(f"{layer}.{head}" for layer in later for head in range(shape.n_heads)),
        ]
        kept = [way for way in ways if way not in doubtful] + _best(tried, doubtful)
        rows += [*tried, *_Readers(subject, swaps, each, "test").measure(kept, heads)]
    return rows


def _best(rows: Sequence[ReaderRow], ways: Sequence[_Way]) -> list[_Way]:
    """The way whose dose brings the metric lowest on validation mazes."""
    sums = {way: sum(row.metric for row in rows if row.dose == way.dose) for way in ways}
    return [min(sums, key=lambda way: sums[way])] if sums else []


@dataclass(frozen=True)
class _Readers:
    """The swaps of one split, to be read by heads of the blocks after one location."""

    subject: Subject
    swaps: Swaps
    known: Writable
    split: str

    def measure(self, ways: Sequence[_Way], heads: Sequence[str]) -> Iterator[ReaderRow]:
        model, location = self.subject.model, self.known.location
        rng, noise = (self.subject.rng(name) for name in ("patching", f"readers: {location}"))
        for part in self.swaps.mazes.batches(self.subject.batch):
            pairs = read_pairs(self.swaps[part], rng)
            batch = _Batch(model, pairs, self.swaps[part], self.known)
            drawn = noise.standard_normal((len(part), model.params.d_model))
            for way in ways:
                layers = range(location.layer + 1, model.params.n_layers)
                streams = Streams(model, batch.clean, batch.changed(way, drawn), layers)
                for name in heads:
                    resid = streams.run(_open_to(name, model))
                    metric = logit_difference(model, resid, pairs).tolist()
                    for nth, value in zip(part, metric, strict=True):
                        maze_id = int(self.swaps.mazes.maze_id[nth])
                        columns = (way.name, way.dose, name, maze_id, int(nth), value)
                        yield ReaderRow(str(location), self.split, *columns)


def _open_to(heads: str, model: Transformer) -> Open:
    """Which paths are open, for a value of the column ``heads``."""
    is_open = torch.full((model.params.n_layers, 1, model.params.n_heads, 1, 1), heads != NONE)
    if heads not in (NONE, ALL):
        layer, head = (int(part) for part in heads.split("."))
        is_open[layer, :, head] = False
    is_open = is_open.to(model.device)
    return lambda layer: is_open[layer]
