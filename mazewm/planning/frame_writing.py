"""Whether a connection can be written at the tokens after the list (docs/science.md#whole-maze).

To the tokens of the frame (module ``reading``), after some block, ``dose`` times their own mean
difference is added: between mazes with and without the connection, in which both of its cells are
mentioned. The questions about twins then show what that does, as for edits of the list
(docs/science.md#hit-and-spill). Tokens are ``<ADJLIST_END>``, all tokens of the question, and both
together. Depth and dose are chosen for each set of tokens on twins of validation mazes; as a
control, a random push of the same length at each token has its own best dose there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mazewm.counterfactuals.pairs import Pairs
from mazewm.inference.edits import add_at
from mazewm.inference.trials import Counts, Trial
from mazewm.io import tables
from mazewm.io.streams import stream
from mazewm.localize.selectivity import totals
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.planning.reading import LIST_END, NAMES
from mazewm.planning.whole import Arrows

QUESTION = tuple(NAMES.values())
SETS = {"list end": (LIST_END,), "question": QUESTION, "frame": (LIST_END, *QUESTION)}
OWN, RANDOM = "mean_difference", "random_direction"
TWINS_AT_ONCE = 50  # each with some 75 questions


@dataclass(frozen=True)
class FrameRow:
    """One pair of mazes with a connection written at tokens after its list."""

    split: tables.Text
    tokens: tables.Text  # one of SETS
    depth: tables.Int  # the edit is made after this many blocks
    method: tables.Text  # mean_difference or random_direction
    dose: tables.Real  # in multiples of the mean difference's length
    maze_id: tables.Int
    connection: tables.Int
    n_affected: tables.Int
    n_hit: tables.Int
    n_unaffected: tables.Int
    n_spill: tables.Int
    # what the blind walker would do, on average: affected questions answered as predicted, and
    # others of which it does not take the path
    blind: tables.Real
    blind_spill: tables.Real


@dataclass(frozen=True)
class _Write:
    """What is added where."""

    tokens: str
    depth: int
    method: str
    dose: float


class FrameWriting:
    """A model, and the directions that are written at the tokens of its frame."""

    def __init__(self, model: Transformer, arrows: Arrows, seed: int) -> None:
        self.model, self.arrows, self.seed = model, arrows, seed
        # after the last block no other token reads an edit; a model of one block has that one
        self.depths = range(1, max(2, model.params.n_layers))

    def choose(self, twins: Pairs, doses: list[float]) -> list[FrameRow]:
        """Every set of tokens, depth, method and dose on twins of validation mazes."""
        every = [_Write(*each) for each in product(SETS, self.depths, (OWN, RANDOM), doses)]
        return list(self._rows("validation", twins, every))

    def report(self, twins: Pairs, chosen: list[FrameRow]) -> list[FrameRow]:
        """Each set of tokens and method at its best depth and dose, by rows of validation twins, on
        twins of test mazes."""
        return list(self._rows("test", twins, best(chosen)))

    def _rows(self, split: str, twins: Pairs, writes: list[_Write]) -> Iterator[FrameRow]:
        rng = stream(f"written at the frame: {split}", self.seed)
        layers = {depth - 1 for depth in self.depths}
        for index in twins.batches(TWINS_AT_ONCE):
            trial = Trial(self.model, twins[index], rng, layers)
            noise = np.random.default_rng(int(rng.integers(2**63)))
            shape = (len(index), self.model.params.d_model)
            drawn = {token: noise.standard_normal(shape) for token in SETS["frame"]}
            blind = np.stack(trial.by_walking(trial.chances[0]), axis=1)
            for write in writes:
                counts = _try(trial, write, self._pushes(trial, write, drawn))
                for nth in range(len(index)):
                    yield _row(split, write, trial, counts, nth, blind[nth])

    def _pushes(
        self, trial: Trial, write: _Write, drawn: Mapping[str, np.ndarray]
    ) -> dict[str, Float[Tensor, "maze d_model"]]:
        """What is added at each token."""
        added, found = trial.pairs.added[:, 0], {}
        for token in SETS[write.tokens]:
            push = self.arrows[token, write.depth][added]
            if write.method == RANDOM:
                length = np.linalg.norm(push, axis=1) / np.linalg.norm(drawn[token], axis=1)
                push = drawn[token] * length[:, None]
            found[token] = torch.from_numpy(write.dose * push).float()
        return found


def _try(trial: Trial, write: _Write, pushes: Mapping[str, Tensor]) -> Counts:
    place, prefix = Place(write.depth - 1, Site.RESID_POST), trial.read.prefix
    if LIST_END in pushes:
        resid = trial.read.resid[place]
        last = torch.full((len(resid), 1), resid.shape[1] - 1, device=resid.device)
        push = pushes[LIST_END].to(resid)[:, None]
        prefix = trial.read.edited(add_at(place, last, lambda here: push))
    asking = {token: pushes[name] for token, name in NAMES.items() if name in pushes}
    return trial.count(trial.compare(prefix, place.layer, asking))


def _row(
    split: str,
    write: _Write,
    trial: Trial,
    counts: Counts,
    nth: int,
    blind: Float[np.ndarray, " 2"],
) -> FrameRow:
    pairs = trial.pairs
    return FrameRow(
        split=split,
        tokens=write.tokens,
        depth=write.depth,
        method=write.method,
        dose=write.dose,
        maze_id=int(pairs.maze_id[nth]),
        connection=int(pairs.added[nth, 0]),
        n_affected=int(counts.n_affected[nth]),
        n_hit=int(counts.n_hit[nth]),
        n_unaffected=int(counts.n_unaffected[nth]),
        n_spill=int(counts.n_spill[nth]),
        blind=float(blind[0]),
        blind_spill=float(blind[1]),
    )


def best(chosen: list[FrameRow]) -> list[_Write]:
    """For each set of tokens and method, the depth and dose with the highest selectivity on twins
    of validation mazes; the first of equal ones."""
    scores = totals(tables.frame(chosen, FrameRow), ["tokens", "depth", "method", "dose"])
    found = scores.loc[scores.groupby(["tokens", "method"], sort=False).selectivity.idxmax()]
    return [
        _Write(str(row.tokens), int(row.depth), str(row.method), float(row.dose))
        for row in found.itertuples()
    ]
