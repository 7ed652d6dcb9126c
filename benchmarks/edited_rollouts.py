"""Rollouts of all questions of some mazes, against TransformerLens: ``python -m benchmarks
edited_rollouts``.

Questions are the (origin, target) pairs of a maze. The edit adds a direction to the residual stream
after block 0, at the second cell of every connection, while the prompt is read. Theirs uses a hook
and greedy ``generate`` with its key-value cache, stopping at any token that is no cell. The model
is the pipeline's, or else one trained for some minutes, so that its paths end.

The model has rotary positions. With a table of positions and no tokenizer, ``generate`` of
TransformerLens 3.9 with a cache looks up the positions of the whole text from the number of cached
tokens on, so that each new token gets about twice its position, and the paths differ.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import counterparts, ours
from benchmarks.pairing import OURS, Line, race, rows
from mazewm.maze.tokens import PATH_END, SPECIALS

N_MAZES = 4
PEER, ENCODING = "transformer-lens", "rotary"
LENGTH = 2.0  # of the added direction, in standard deviations of the residual stream there
HOOK = "blocks.0.hook_resid_post"
# The first one pads sequences that have ended. Our rollouts, too, end at any token that is no cell.
ENDS = [PATH_END, *(token for token in range(len(SPECIALS)) if token != PATH_END)]


def their_walk(lens: Any, asked: ours.Questions, direction: Tensor | None) -> Tensor:
    """The tokens that their model generates after each prompt, ``PATH_END`` included."""

    def add(resid: Tensor, hook: Any) -> Tensor:
        if resid.shape[1] > 1:  # the prompt, not a single generated token
            resid[:, asked.edited] += direction
        return resid

    with lens.hooks(fwd_hooks=[] if direction is None else [(HOOK, add)]):
        written = lens.generate(
            asked.prompts,
            max_new_tokens=ours.VOCABULARY.grid.n_cells + 1,
            do_sample=False,
            eos_token_id=ENDS,
            return_type="tokens",
            verbose=False,
        )
    return written[:, asked.prompts.shape[1] :]


def walked_cells(written: Tensor, width: int) -> np.ndarray:
    """Tokens in the form of our rollouts: cells, then -1 from ``PATH_END`` on. The first token that
    is neither gives -2, as does the last place of a rollout that has not ended."""
    tokens, first_cell = written.numpy(), ours.VOCABULARY.first_cell
    is_cell = tokens >= first_cell
    so_far = np.logical_and.accumulate(
        np.pad(is_cell, ((0, 0), (1, 0)), constant_values=True), axis=1
    )
    ends = np.where(tokens == PATH_END, -1, -2)
    cells = np.full((len(tokens), width), -1, np.int16)
    here = np.where(is_cell, tokens - first_cell, ends)
    cells[:, : tokens.shape[1]] = np.where(so_far[:, :-1], here, -1)
    cells[is_cell.all(axis=1), -1] = -2
    return cells


def check(mine: np.ndarray, theirs: np.ndarray) -> str:
    """How many rollouts are the same; RuntimeError if fewer than 99 %. A few may differ, because
    rounding decides between tokens with almost equal logits."""
    same = (mine == theirs).all(axis=1)
    if same.mean() < 0.99:
        raise RuntimeError(
            f"edited_rollouts: expected the same walks, found {same.sum()} of {len(same)} the same."
        )
    n_cells = (mine >= 0).sum() / len(mine)
    return f"{same.sum()} of {len(same)} walks the same, cell by cell; {n_cells:.1f} cells each"


def run() -> list[dict[str, Any]]:
    """The rows of this benchmark: one line of work with the edit and one without."""
    model, asked = ours.trained(ENCODING), ours.questions(N_MAZES)
    lens = counterparts.hooked(model).eval().requires_grad_(False)
    torch.manual_seed(0)
    with torch.inference_mode():
        _, seen = lens.run_with_cache(asked.prompts[:1], names_filter=HOOK)
        length = LENGTH * float(seen[HOOK][0, asked.edited].std()) * model.params.d_model**0.5
        direction = torch.nn.functional.normalize(torch.randn(model.params.d_model), dim=0) * length
        found = []
        for name, what, added in (
            ("edited rollouts", "a direction added", direction),
            ("rollouts", "no edit", None),
        ):
            walk = ours.walker(model, asked, added)
            mine = walk()
            theirs = walked_cells(their_walk(lens, asked, added), mine.shape[1])
            line = Line(
                name,
                f"all {asked.origin.shape[1]} questions of each of {N_MAZES} mazes, {what}",
                "rollouts/s",
                check(mine, theirs),
            )

            def our_contender(walk: Any = walk) -> float:
                return float(len(walk()))

            def their_contender(added: Tensor | None = added) -> float:
                return float(len(their_walk(lens, asked, added)))

            found += rows(line, race({OURS: our_contender, PEER: their_contender}))
    return found
