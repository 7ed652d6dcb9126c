"""Activation patching between two mazes that differ in one connection
(docs/science.md#activation-patching).

1. The two mazes of a swap are encoded in the same order and directions. They differ in one slot of
   the list, which holds the removed connection in the clean run (the original maze) and the added
   one, in a random direction of its own, in the corrupted run (the swapped maze).
2. Both prompts end with the cells that the two paths have in common. After the last of them the
   paths part. The metric is the logit difference ``m = logit(next cell of the original path) -
   logit(next cell of the swapped path)``.
3. In the clean run, one place (``resid_pre`` of block 0, or ``resid_post``, ``attn_out`` or
   ``mlp_out`` of any block) at the tokens of one group (``TOKEN_GROUPS``) takes its value from the
   corrupted run.
4. The effect, computed in ``claims.patching``, is ``1 - (m_patched - m_corrupted) / (m_clean -
   m_corrupted)``: 0 if the patch changes nothing, 1 if the result is that of the corrupted run.
5. ``attribution`` is what one backward pass predicts for the change ``m_clean - m_patched``
   (attribution patching, Nanda 2023): the gradient of m in the clean run times (clean - corrupted),
   summed over the group.

Patches that cannot have an effect are not run: before the swapped slot both runs are equal, before
block 0 they differ only at c1 and c2 of the slot, and of the last block's output only the last
token reaches the metric. A pair that lacks a group (because the slot is the last of the list, or
because the paths part at the origin) has no rows for it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mazewm.circuits.groups import TOKEN_GROUPS, token_groups
from mazewm.counterfactuals.swaps import Swaps
from mazewm.inference.edits import Edit, Taps, run_blocks
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.tokens import PADDING, SPECIALS, Encoded, encode_as, prompt_length, random_order
from mazewm.model.shapes import Resid
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer

SITES = (Site.ATTN_OUT, Site.MLP_OUT, Site.RESID_POST)


@dataclass(frozen=True)
class PatchPairRow:
    """The two mazes of a swap, and the metric of the clean and of the corrupted run."""

    pair: tables.Int
    maze_id: tables.Int
    connection_set: tables.Int  # the same for original mazes with equal connections
    removed: tables.Int  # the connection that only the original maze has
    added: tables.Int  # the connection that only the swapped maze has
    n_connections: tables.Int
    nth: tables.Int  # how many connections stand before the swapped one in the list
    n_common: tables.Int  # cells that both paths start with
    # steps of the original path from the last common cell to the removed connection
    steps_ahead: tables.Int
    metric_clean: tables.Real  # a logit difference, as the next one
    metric_corrupted: tables.Real
    is_right: tables.Flag  # in both runs the right next cell has the largest of all logits


@dataclass(frozen=True)
class PatchRow:
    """One place, patched at one group of tokens of one pair."""

    pair: tables.Int
    layer: tables.Int
    site: tables.Text
    token_group: tables.Text
    metric_patched: tables.Real  # a logit difference
    # what the gradient predicts for metric_clean - metric_patched, in logits
    attribution: tables.Real


class Patched(NamedTuple):
    """Rows of both tables."""

    pairs: list[PatchPairRow]
    patches: list[PatchRow]


class Pairs(NamedTuple):
    """Pairs of mazes with equally many connections, as tokens."""

    # up to the last common cell; then padding, which earlier positions cannot attend to
    clean: Int[np.ndarray, "pair pos"]
    corrupted: Int[np.ndarray, "pair pos"]
    nth: Int[np.ndarray, " pair"]
    n_common: Int[np.ndarray, " pair"]
    groups: Bool[np.ndarray, "pair group pos"]
    last: Int[np.ndarray, " pair"]  # the position of the last common cell
    # the tokens of the next cell of the original and of the swapped path
    towards: Int[np.ndarray, "pair 2"]
    n_connections: int  # of every list


def encode_alike(swaps: Swaps, rng: np.random.Generator) -> tuple[Encoded, Encoded, np.ndarray]:
    """The original mazes and the swapped ones, encoded alike but for one slot, and that slot."""
    order, is_flipped = random_order(swaps.mazes, rng)
    rows, nth = np.nonzero(order == swaps.removed[:, None])
    other, other_flipped = order.copy(), is_flipped.copy()
    other[rows, nth] = swaps.added
    other_flipped[rows, nth] = rng.random(len(rows)) < 0.5
    return (
        encode_as(swaps.mazes, order, is_flipped),
        encode_as(swaps.swapped, other, other_flipped),
        nth,
    )


def read_pairs(swaps: Swaps, rng: np.random.Generator) -> Pairs:
    """Encode swaps of mazes with equally many connections, up to their paths' last common cell."""
    original, swapped, nth = encode_alike(swaps, rng)
    path, other = swaps.mazes.path, swaps.swapped.path
    # Neither path is a prefix of the other, since both end at the target.
    n_common = np.cumprod(path == other, axis=1).sum(axis=1)
    start = prompt_length(original.n_connections)
    length = start + int(n_common.max())
    is_after = np.arange(length) >= (start + n_common)[:, None]
    clean, corrupted = (
        np.where(is_after, PADDING, encoded.tokens[:, :length]) for encoded in (original, swapped)
    )
    rows = np.arange(len(swaps))
    towards = np.stack([path[rows, n_common], other[rows, n_common]], axis=1).astype(
        np.int64
    ) + len(SPECIALS)
    groups = token_groups(original.n_connections, nth, n_common, length)
    return Pairs(
        clean,
        corrupted,
        nth,
        n_common,
        groups,
        start + n_common - 1,
        towards,
        original.n_connections,
    )


@torch.inference_mode()
def logit_difference(
    model: Transformer, resid: Resid, pairs: Pairs, since: int = 0
) -> Float[Tensor, " pair"]:
    """The metric, from the residual stream after the last block at the positions from ``since``
    on."""
    last, towards = (
        torch.from_numpy(each).to(resid.device) for each in (pairs.last - since, pairs.towards)
    )
    rows = torch.arange(len(resid), device=resid.device)
    logits = model.unembed(resid[rows, last][:, None])[:, 0].gather(1, towards)
    return logits[:, 0] - logits[:, 1]


def measured_groups(layer: int, site: Site, n_layers: int) -> list[int]:
    """The groups (indices into ``TOKEN_GROUPS``) at which patching a place can have an effect."""
    if site == Site.RESID_PRE:
        return [TOKEN_GROUPS.index("own c1"), TOKEN_GROUPS.index("own c2")]
    return list(range(len(TOKEN_GROUPS)))[-1 if layer == n_layers - 1 else 0 :]


def patch(subject: Subject, swaps: Swaps) -> Patched:
    """Patch every place at every group of every pair, about ``subject.batch`` patched sequences at
    a time."""
    rng = subject.rng("patching")
    rows = Patched([], [])
    connection_set = np.unique(swaps.mazes.connections, axis=0, return_inverse=True)[1]
    size = max(1, subject.batch // len(TOKEN_GROUPS))
    for part in swaps.mazes.batches(size):
        study = _Study(subject.transformer, read_pairs(swaps[part], rng))
        rows.pairs.extend(_pair_rows(part, connection_set[part], swaps[part], study))
        for place in study.places:
            rows.patches.extend(_patch_rows(part, study, place))
    rows.pairs.sort(key=lambda row: row.pair)
    return rows


def _pair_rows(
    index: np.ndarray, connection_set: np.ndarray, swaps: Swaps, study: "_Study"
) -> list[PatchPairRow]:
    pairs, path = study.pairs, swaps.mazes.path
    steps = (
        swaps.mazes.grid.connection_of[path[:, :-1], path[:, 1:]] == swaps.removed[:, None]
    ) & (path[:, 1:] >= 0)
    return [
        PatchPairRow(
            pair=int(pair),
            maze_id=int(swaps.mazes.maze_id[i]),
            connection_set=int(connection_set[i]),
            removed=int(swaps.removed[i]),
            added=int(swaps.added[i]),
            n_connections=int(swaps.mazes.n_connections[i]),
            nth=int(pairs.nth[i]),
            n_common=int(pairs.n_common[i]),
            steps_ahead=int(steps[i].argmax() - (pairs.n_common[i] - 1)),
            metric_clean=float(study.metric[i, 0]),
            metric_corrupted=float(study.metric[i, 1]),
            is_right=bool(study.is_right[i]),
        )
        for i, pair in enumerate(index)
    ]


def _patch_rows(index: np.ndarray, study: "_Study", place: Place) -> list[PatchRow]:
    groups = measured_groups(place.layer, place.site, len(study.model.blocks))
    patched, attribution = study.patched(place, groups).tolist(), study.attribution(place).tolist()
    present = np.asarray(study.pairs.groups.any(axis=2))
    return [
        PatchRow(
            pair=int(pair),
            layer=place.layer,
            site=str(place.site),
            token_group=TOKEN_GROUPS[group],
            metric_patched=patched[i][column],
            attribution=attribution[i][group],
        )
        for i, pair in enumerate(index)
        for column, group in enumerate(groups)
        if present[i, group]
    ]


class _Study:
    """The clean and the corrupted run of a batch of pairs, and patches of the clean one."""

    def __init__(self, model: Transformer, pairs: Pairs) -> None:
        self.model, self.pairs, self.layers = model, pairs, range(len(model.blocks))
        self.places = [
            Place(0, Site.RESID_PRE),
            *(Place(layer, site) for layer in self.layers for site in SITES),
        ]
        self.groups, self.last, self.towards = (
            torch.from_numpy(x).to(model.device) for x in (pairs.groups, pairs.last, pairs.towards)
        )
        # Gradients are needed for all activations from the embeddings on, but for no parameter.
        starts = Edit(Place(0, Site.RESID_PRE), lambda value: value.detach().requires_grad_())
        self.clean, logits = self._read(pairs.clean, [starts])
        metric = self._metric(logits)
        gradients = torch.autograd.grad(metric.sum(), [self.clean[place] for place in self.places])
        self.gradients = dict(zip(self.places, gradients, strict=True))
        self.clean = {place: value.detach() for place, value in self.clean.items()}
        with torch.inference_mode():
            self.corrupted, other = self._read(pairs.corrupted, [])
        self.metric = torch.stack([metric.detach(), self._metric(other)], dim=1).cpu()
        right = torch.stack([logits.argmax(dim=1), other.argmax(dim=1)], dim=1) == self.towards
        self.is_right = right.all(dim=1).cpu()

    def _read(
        self, tokens: np.ndarray, edits: list[Edit]
    ) -> tuple[dict[Place, Tensor], Float[Tensor, "pair vocab"]]:
        taps = Taps(edits, self.places)
        embedded = self.model.embed(torch.from_numpy(tokens).to(self.model.device))
        resid = run_blocks(self.model, embedded, self.layers, taps)
        return taps.values, self._logits(resid)

    def _logits(self, resid: Resid) -> Float[Tensor, "pair vocab"]:
        """The logits at the last common cell. ``resid`` may hold several versions of each pair, in
        successive rows."""
        last = self.last.repeat_interleave(len(resid) // len(self.last))
        every = torch.arange(len(resid), device=resid.device)
        return self.model.norm_final(resid[every, last]) @ self.model.W_U

    def _metric(self, logits: Float[Tensor, "pair vocab"]) -> Float[Tensor, " pair"]:
        towards = self.towards.repeat_interleave(len(logits) // len(self.towards), dim=0)
        chosen = logits.gather(1, towards)
        return chosen[:, 0] - chosen[:, 1]

    @torch.inference_mode()
    def patched(self, place: Place, groups: list[int]) -> Float[Tensor, "pair group"]:
        """The metric with ``place`` patched at each of ``groups``.

        Between the attention of one block and that of the next, positions do not interact. So the
        block is run once, with the place patched at every position; for each group, its positions
        are taken from this run and all others from the clean one."""
        first, clean, other = self._streams(place)
        versions = torch.where(self.groups[:, groups, :, None], other[:, None], clean[:, None])
        layers = range(first, len(self.layers))
        resid = run_blocks(self.model, versions.flatten(0, 1), layers, Taps())
        return self._metric(self._logits(resid)).unflatten(0, (-1, len(groups)))

    def _streams(self, place: Place) -> tuple[int, Resid, Resid]:
        """The block from which to continue, and the residual stream before it: that of the clean
        run, and that of the clean run with ``place`` patched at every position."""
        if place.site == Site.RESID_PRE:
            return place.layer, self.clean[place], self.corrupted[place]
        if place.site == Site.RESID_POST:
            return place.layer + 1, self.clean[place], self.corrupted[place]
        after = Place(place.layer, Site.RESID_POST)
        return place.layer + 1, self.clean[after], self._rest_of_block(place, self.corrupted[place])

    def _rest_of_block(self, place: Place, other: Resid) -> Resid:
        """The residual stream after the block, in the clean run with ``place`` patched at every
        position."""
        before = (
            Place(0, Site.RESID_PRE)
            if place.layer == 0
            else Place(place.layer - 1, Site.RESID_POST)
        )
        taps = Taps([Edit(place, lambda _: other)])
        return run_blocks(self.model, self.clean[before], range(place.layer, place.layer + 1), taps)

    def attribution(self, place: Place) -> Float[Tensor, "pair group"]:
        """What the gradient predicts for ``m_clean - m_patched``, for all groups."""
        by_position = (self.gradients[place] * (self.clean[place] - self.corrupted[place])).sum(
            dim=2
        )
        return (self.groups * by_position[:, None]).sum(dim=2)
