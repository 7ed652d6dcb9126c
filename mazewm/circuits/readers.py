"""Which heads of later blocks read a connection, and whether they read what latents write in the
same way (docs/science.md#readers).

Pairs of mazes differ in one connection of the list, e in the clean run and f in the other (module
``patching``). After the block of a location, the clean run is changed in one of these ways:

* ``prompt``: everything is as in the run with f in the prompt.
* ``token``: only the token of e at the location is, that is, it is patched.
* ``latents_N``: at this token the N best latents of e are taken away, and those of f get their mean
  activation where f is encoded (N: 1 and MOST); ``mean_difference``: the same with directions.
* ``site_latents_N``: e's latents are taken away at its token, and f's are written at all tokens of
  the writing site but those of e, as the interventions do.

Controls are changed in the same way as latents are: ``other_latents_N``, where those of a third
connection are written, and ``frozen_decoder_N``, units of an SAE whose decoder directions are
random. ``random_direction`` is a push at the token, in multiples of the length of that of
``mean_difference``. This push, and what is written at the writing site, is at the one of DOSES at
which it is read most like the token on validation mazes, each for itself.

The metric m is the logit difference between the two next cells. With all heads of later blocks
reading the change it is m(all); with none m(none); with all but one, m(h). What is lost without h
is ``m(h) - m(all)``, and what h reads of the change ``(m(h) - m(all)) / (m(none) - m(all))``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.choosing import for_choosing
from mazewm.circuits.binding import all_heads
from mazewm.circuits.patching import Pairs, logit_difference, read_pairs
from mazewm.circuits.streams import Open, Streams
from mazewm.circuits.writable import Units, Writable
from mazewm.counterfactuals.swaps import Swaps
from mazewm.inference.edits import Taps, run_blocks
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.tokens import CONNECTION_CLASSES, TOKENS_PER_CONNECTION
from mazewm.model.transformer import Transformer
from mazewm.sae.files import FROZEN

DOSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # of the random push, and at the writing site
NONE, ALL = "none", "all"
MEAN_DIFFERENCE = "mean_difference"
PROMPT, TOKEN, RANDOM = "prompt", "token", "random_direction"
AT_SITE = "site_"  # the prefix of what is written at the writing site
LATENTS, OTHER = "latents", "other_latents"


@dataclass(frozen=True)
class ReaderRow:
    """The metric of one pair, with the change read by some heads of later blocks."""

    site: tables.Text
    split: tables.Text  # validation, where the dose is chosen, or test
    written: tables.Text  # how the run is changed
    dose: tables.Real  # 1 of what is not tried at several
    heads: tables.Text  # none, all, or the head that does not read it, such as "2.1"
    maze_id: tables.Int
    pair: tables.Int  # the number of the swap
    metric: tables.Real  # a logit difference


class _Way(NamedTuple):
    """One way to change the run: which units are written, how many (0: none), at what dose, and
    whether at the writing site; or another change."""

    what: str
    n: int = 0
    dose: float = 1.0
    is_at_site: bool = False

    @property
    def has_doses(self) -> bool:
        """Whether it is done at the best of several doses."""
        return self.is_at_site or self.what == RANDOM

    @property
    def name(self) -> str:
        """The value of the column ``written``."""
        return f"{AT_SITE if self.is_at_site else ''}{self.what}{f'_{self.n}' if self.n else ''}"


class _Drawn(NamedTuple):
    """What is drawn at random for a batch of pairs."""

    noise: Float[np.ndarray, "maze d_model"]
    third: Int[np.ndarray, " maze"]  # a connection that neither maze has

    @classmethod
    def of(cls, rng: np.random.Generator, swaps: Swaps, d_model: int) -> "_Drawn":
        noise = rng.standard_normal((len(swaps), d_model))
        is_free = ~(swaps.mazes.connections | swaps.swapped.connections)
        return cls(noise, np.argmax(rng.random(is_free.shape) * is_free, axis=1))


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

    def changed(self, way: _Way, drawn: _Drawn) -> Tensor:
        """The residual stream after the location's block, changed in one way."""
        if way.what == PROMPT:
            return self.other
        resid = self.clean.clone()
        if way.what == TOKEN:
            resid[self.rows, self.own] = self.other[self.rows, self.own]
        elif way.what in (MEAN_DIFFERENCE, RANDOM):
            push = self.known.arrows[self.f] - self.known.arrows[self.e]
            if way.what == RANDOM:
                length = np.linalg.norm(push, axis=1) / np.linalg.norm(drawn.noise, axis=1)
                push = way.dose * drawn.noise * length[:, None]
            resid[self.rows, self.own] += torch.from_numpy(push).to(resid)
        else:
            units = self.known.frozen if way.what == FROZEN else self.known.trained
            written = drawn.third if way.what == OTHER else self.f
            self._exchange(resid, way, units, written)
        return resid

    def _exchange(
        self, resid: Tensor, way: _Way, units: Units, written: Int[np.ndarray, " maze"]
    ) -> None:
        """Take e's units away at its token, and write those of another connection."""
        here = self.rows, self.own
        resid[here] += units.change(self.e, way.n, resid[here], to=None)
        if not way.is_at_site or self.known.writing is None:
            resid[here] += units.change(written, way.n, resid[here], to=1.0)
            return
        for position in self.known.writing.positions(self.pairs.n_connections):
            is_other = (position < self.slot) | (position >= self.slot + TOKENS_PER_CONNECTION)
            at = self.rows[torch.from_numpy(is_other).to(self.rows.device)], int(position)
            resid[at] += units.change(written[is_other], way.n, resid[at], to=way.dose)


def ways_of(known: Writable) -> list[_Way]:
    """The ways to change a run at a location, with every dose."""
    ways = [_Way(what) for what in (PROMPT, TOKEN, MEAN_DIFFERENCE)]
    ways += [_Way(RANDOM, dose=dose) for dose in DOSES]
    ways += [_Way(LATENTS, n) for n in sorted({1, known.most})]
    ways += [_Way(what, known.most) for what in (OTHER, FROZEN)]
    if known.writing is not None:
        ways += [
            _Way(what, known.most, dose, is_at_site=True)
            for what in (LATENTS, OTHER, FROZEN)
            for dose in DOSES
        ]
    return ways


def measure_readers(
    subject: Subject, swaps: Swaps, chosen_on: Subject, others: Swaps, known: Sequence[Writable]
) -> list[ReaderRow]:
    """What every head of the blocks after each location reads, on swaps of test mazes. Doses are
    chosen on ``others``, swaps of validation mazes. Nothing is read after the last block, and
    nothing is done for which there is no swap to choose the dose on."""
    rows = list[ReaderRow]()
    model = subject.transformer
    for each in known:
        later = range(each.location.layer + 1, model.params.n_layers)
        if not later:
            continue
        single = [f"{layer}.{head}" for layer, head in all_heads(later, model)]
        heads, ways = [NONE, ALL, *single], ways_of(each)
        doubtful, tried = [way for way in ways if way.has_doses], list[ReaderRow]()
        if doubtful:
            compared = [*(_Way(what) for what in (PROMPT, TOKEN)), *doubtful]
            tried += _Readers(chosen_on, others, each, "validation").measure(compared, heads)
        kept = [way for way in ways if not way.has_doses] + _best(tried, doubtful)
        rows += [*tried, *_Readers(subject, swaps, each, "test").measure(kept, heads)]
    return rows


def _best(rows: Sequence[ReaderRow], ways: Sequence[_Way]) -> list[_Way]:
    """Of the ways of each name, the one whose dose makes what is lost without each head most like
    what is lost of the token, on validation mazes."""
    if not rows:
        return []
    tried = for_choosing(tables.frame(rows, ReaderRow))
    wide = tried.pivot(index="pair", columns=["dose", "written", "heads"], values="metric")
    wide = wide[is_read_right(wide[1.0])]
    best, highest = dict[str, _Way](), dict[str, float]()
    for way in ways:
        r = _correlation(lost(wide[way.dose][way.name]), lost(wide[1.0][TOKEN]))
        if way.name not in best or r > highest[way.name]:
            best[way.name], highest[way.name] = way, r
    return list(best.values())


def is_read_right(metric: pd.DataFrame) -> pd.Series:
    """Whether the model chooses the right cell in both runs of a pair, from a column for each way
    to change the run and each value of ``heads``."""
    return (metric[TOKEN, NONE] > 0) & (metric[PROMPT, ALL] < 0)


def lost(metric: pd.DataFrame) -> Float[np.ndarray, "pair head"]:
    """What is lost of one change without each head, from its metric, a column for each value of
    ``heads``."""
    single = [name for name in metric.columns if "." in str(name)]
    return metric[single].sub(metric[ALL], axis=0).to_numpy(float)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """That of all values; 0 where one of the two does not vary."""
    if not len(x) or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])


@dataclass(frozen=True)
class _Readers:
    """The swaps of one split, to be read by heads of the blocks after one location."""

    subject: Subject
    swaps: Swaps
    known: Writable
    split: str

    def measure(self, ways: Sequence[_Way], heads: Sequence[str]) -> Iterator[ReaderRow]:
        model, location = self.subject.transformer, self.known.location
        rng, noise = (self.subject.rng(name) for name in ("patching", f"readers: {location}"))
        for part in self.swaps.mazes.batches(self.subject.batch):
            pairs = read_pairs(self.swaps[part], rng)
            batch = _Batch(model, pairs, self.swaps[part], self.known)
            drawn = _Drawn.of(noise, self.swaps[part], model.params.d_model)
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
