"""A model that was trained elsewhere, as the rooms of mazewm use models.

They read a list once and ask many questions behind it, edit the residual stream after one block,
and run only the blocks after it. Here a cache holds, in place of keys and values, the residual
stream of the list before every block (``Prefix.keys``, with one head as wide as the stream, and
no values): in a causal model, block l at later tokens needs nothing else of earlier ones.
Questions that share a list become rows of their own, each behind a copy of it, so that positions
are those of an ordinary sequence, whatever the positional encoding is. That costs time, not
accuracy.

Tokens have the ids of mazewm's ``Vocabulary`` outside and the model's own inside. Further tokens of
the model, such as those of a larger lattice, count as ``<PADDING>``: its probability is that of
all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.elsewhere.residual import Blocks
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import PADDING, SPECIALS, Vocabulary
from mazewm.model.interface import Model
from mazewm.model.positions import NoPositions
from mazewm.model.reading import SHARED, Layout, Prefix, Reading
from mazewm.model.shapes import Logits, Resid, ResidAsked, Tokens
from mazewm.model.sites import Place, Site
from mazewm.model.taps import Tap, asks_of

SITES = frozenset({Site.RESID_PRE, Site.RESID_POST})
UNUSED = {"<PADDING>"}  # no prompt has it, and nothing is read where it stands


@dataclass(frozen=True)
class Size:
    """The size of a model."""

    n_layers: int
    d_model: int


class _Rows(NamedTuple):
    """The rows of ordinary sequences that a layout stands for: one for each question of a row."""

    start: int  # the position of the first token; those before it are a prefix
    tokens: Int[Tensor, "question nth"]  # which positions of the layout; the last one is repeated
    question: Int[Tensor, " pos"]  # where each position of the layout is found
    nth: Int[Tensor, " pos"]

    @classmethod
    def of(cls, layout: Layout) -> "_Rows":
        """ValueError unless the positions of each question, with those that all share, follow one
        another."""
        position, question = layout.position.cpu(), layout.question_or_shared.cpu()
        numbers = [int(q) for q in question.unique() if q != SHARED] or [SHARED]
        start, rows = int(position.min()), []
        at, nth = torch.zeros_like(position), position - start
        for row, number in enumerate(numbers):
            own = ((question == number) | (question == SHARED)).nonzero()[:, 0]
            own = own[position[own].argsort()]
            if not torch.equal(position[own], torch.arange(start, start + len(own))):
                raise ValueError(f"positions that do not follow one another: {position[own]}")
            at[question == number] = row
            rows.append(own)
        longest = max(map(len, rows))
        padded = [torch.cat([own, own[-1:].expand(longest - len(own))]) for own in rows]
        to = layout.position.device
        return cls(start, torch.stack(padded).to(to), at.to(to), nth.to(to))

    def apart(self, value: Tensor) -> Tensor:
        """[row, pos, ...] as [row * question, nth, ...]."""
        return value[:, self.tokens].flatten(0, 1)

    def together(self, value: Tensor) -> Tensor:
        """The inverse of ``apart``; positions that questions share are those of the first."""
        each = value.unflatten(0, (-1, len(self.tokens)))
        return each[:, self.question, self.nth]

    def behind(self, prefix: Tensor, value: Tensor) -> Tensor:
        """Rows as from ``apart``, each behind its row of ``prefix``, [row, key, ...]."""
        return torch.cat([prefix.repeat_interleave(len(self.tokens), dim=0), value], dim=1)


class Elsewhere(Model):
    """A model that was trained elsewhere; it shows its residual stream before and after every
    block. ``names`` lists the text of each of its tokens by id, ``n`` is the size of the lattice.
    BadInput for tokens that do not fit."""

    sites = SITES

    def __init__(self, blocks: Blocks, n: int, names: Sequence[str] | None = None) -> None:
        super().__init__()
        self.blocks, self.n, self.names = blocks, n, names
        self.params = Size(blocks.n_layers, blocks.d_model)
        to_theirs = their_ids(Vocabulary(n), blocks.d_vocab, names)
        self.to_theirs = torch.tensor(to_theirs, device=blocks.device)
        left = sorted(set(range(blocks.d_vocab)) - set(to_theirs[1:]))
        self.others = torch.tensor(left, device=blocks.device, dtype=torch.long)

    @property
    def device(self) -> torch.device:
        return self.blocks.device

    def untrained(self, seed: int) -> "Elsewhere":
        return Elsewhere(self.blocks.untrained(seed), self.n, self.names)

    def reading(
        self,
        layout: Layout,
        tap: Tap | None = None,
        after: Prefix | None = None,
        kept: Prefix | None = None,
    ) -> Reading:
        """BadInput for a tap that names a place other than the residual stream's."""
        for place in getattr(tap, "places", ()):
            if place.site not in self.sites:
                raise BadInput(
                    f"{place}: expected one of the sites {sorted(map(str, self.sites))}, which are "
                    "all that a model trained elsewhere shows."
                )
        return Reading.of(NoPositions(0, 0, 0), layout, tap, after, kept)

    def embed(self, tokens: Tokens, layout: Layout | None = None) -> Resid:
        rows = _Rows.of(layout or Layout.sequence(tokens.shape[1], tokens.device))
        own = rows.apart(self.to_theirs[tokens])
        # any tokens, so that the others have their positions
        before = own[:, :1].expand(-1, rows.start)
        resid = self.blocks.embed(torch.cat([before, own], dim=1))[:, rows.start :]
        return rows.together(resid)

    def run_blocks(
        self,
        resid: Resid,
        reading: Reading,
        start: int = 0,
        stop: int | None = None,
        since: int = 0,
    ) -> ResidAsked:
        stop = self.params.n_layers if stop is None else stop
        if start >= stop:
            return resid[:, since:]
        rows, prefix, tap, kept = _Rows.of(reading.layout), reading.after, reading.tap, reading.kept
        n_before = 0 if prefix is None else len(prefix)

        def tapped(site: Site, layer: int, value: Tensor) -> Tensor:
            is_asked = start <= layer < stop and asks_of(tap, layer)
            return tap(Place(layer, site), value) if tap is not None and is_asked else value

        def before_block(layer: int, value: Tensor) -> Tensor:
            """The rows as block ``layer`` reads them, given what the blocks before left."""
            value = tapped(Site.RESID_POST, layer - 1, value)
            value = tapped(Site.RESID_PRE, layer, value)
            if kept is not None:
                kept.keys.append(value[:, None])
            whole = rows.apart(value)
            return whole if prefix is None else rows.behind(prefix.keys[layer][:, 0], whole)

        def between(depth: int, whole: Tensor) -> Tensor:
            return before_block(depth, rows.together(whole[:, n_before:]))

        first = before_block(start, resid)
        # where only a cache is wanted, the last block need not be run
        is_cache = since >= resid.shape[1] and not asks_of(tap, stop - 1)
        if is_cache and stop - 1 == start:
            return resid[:, since:]
        last = stop - 1 if is_cache else stop
        done = rows.together(self.blocks.run(first, start, last, between)[:, n_before:])
        if is_cache:
            before_block(last, done)
            return done[:, since:]
        return tapped(Site.RESID_POST, stop - 1, done)[:, since:]

    def unembed(self, resid: ResidAsked) -> Logits:
        logits = self.blocks.unembed(resid)
        ours = logits[..., self.to_theirs].clone()
        if len(self.others):
            ours[..., PADDING] = logits[..., self.others].logsumexp(dim=-1)
        else:
            ours[..., PADDING] = -torch.inf
        return ours


def their_ids(vocabulary: Vocabulary, d_vocab: int, names: Sequence[str] | None) -> list[int]:
    """The id of each of our tokens in a model with ``d_vocab`` tokens of the given texts; without
    texts, the ids are the same. One that it does not have and that no prompt needs has id 0.
    BadInput if a token that prompts need is missing or there twice."""
    if names is None:
        if d_vocab != len(vocabulary):
            raise BadInput(
                f"model: expected {len(vocabulary)} tokens, as mazes on a "
                f"{vocabulary.n}x{vocabulary.n} lattice have, found {d_vocab}; give the text of "
                "each as names."
            )
        return list(range(d_vocab))
    if len(names) != d_vocab:
        raise BadInput(f"names: expected the texts of {d_vocab} tokens, found {len(names)}.")
    found = []
    for name in vocabulary.names:
        n = list(names).count(name)
        if n != 1 and not (n == 0 and name in UNUSED):
            raise BadInput(
                f"names: expected the token {name!r} once, found it {n} times; needed are "
                f"{len(SPECIALS)} markers and one for each cell of a "
                f"{vocabulary.n}x{vocabulary.n} lattice."
            )
        found.append(list(names).index(name) if n else 0)
    return found
