"""Fake transformers that read the text as a person would: from the list they know the connections,
and a rule says which cell comes next. Their answers can be worked out by hand.
"""

from collections.abc import Callable

import torch
from toys import Cell, Drawing

from mazewm.maze.tokens import ADJLIST_END, ASKING, DELIMITER, PATH_END, Vocabulary
from mazewm.model.reading import Prefix
from mazewm.model.transformer import Transformer, TransformerParams

# the cell after the last of a path (not empty, and not yet at the target)
Rule = Callable[[Drawing, list[Cell]], Cell]


class Reader(Transformer):
    """Starts at the origin, follows the rule, and ends at the target. If ``ignores`` is true of the
    pairs of cells as they stand in the list, it jumps to the target."""

    def __init__(self, n: int, rule: Rule, ignores: Callable[[list], bool] = lambda pairs: False):
        self.n, self.first = n, Vocabulary(n).first_cell
        params = TransformerParams(n_layers=1, d_model=2, n_heads=1, d_mlp=1)
        super().__init__(params, "none", len(Vocabulary(n)), Vocabulary(n).max_length)
        self.rule, self.ignores = rule, ignores

    def read(self, tokens, tap=None):
        """The cache holds the tokens themselves."""
        kept = tokens[:, None, :, None].float()
        return Prefix([kept], [kept])

    def ask(self, prefix, tokens, layout, tap=None):
        logits = torch.zeros(*tokens.shape, self.d_vocab)
        for row, adjacency in enumerate(prefix.keys[0][:, 0, :, 0].int().tolist()):
            for question in layout.question.unique():
                at = torch.nonzero(layout.question == question)[:, 0]
                asked = tokens[row, at].tolist()
                for nth in range(ASKING, len(asked) + 1):
                    logits[row, at[nth - 1], self.answer(adjacency + asked[:nth])] = 99
        return logits

    def forward(self, tokens, tap=None, layout=None, since=0):
        logits = torch.zeros(*tokens.shape, self.d_vocab)
        for row, text in enumerate(tokens.tolist()):
            for nth in range(text.index(ADJLIST_END) + 1 + ASKING, len(text) + 1):
                logits[row, nth - 1, self.answer(text[:nth])] = 99
        return logits

    def answer(self, text: list[int]) -> int:
        """The next token."""
        end = text.index(ADJLIST_END)
        pairs = [
            (self.cell(text[nth - 3]), self.cell(text[nth - 1]))
            for nth in range(end)
            if text[nth] == DELIMITER
        ]
        origin, target = self.cell(text[end + 2]), self.cell(text[end + 5])
        path = text[end + 1 + ASKING :]
        if not path:
            return text[end + 2]
        if path[-1] < self.first or path[-1] == text[end + 5]:
            return PATH_END
        drawing = Drawing(self.n, frozenset(map(frozenset, pairs)), origin, target)
        row, col = (
            target if self.ignores(pairs) else self.rule(drawing, [self.cell(t) for t in path])
        )
        return self.first + row * self.n + col

    def cell(self, token: int) -> Cell:
        return divmod(token - self.first, self.n)


def solver(drawing: Drawing, path: list[Cell]) -> Cell:
    """One step of a shortest path, whatever was walked before; the first of several."""
    steps = drawing.steps_from(drawing.target)
    return min(drawing.around(path[-1]), key=lambda cell: (steps.get(cell, 99), cell))


def through_walls(drawing: Drawing, path: list[Cell]) -> Cell:
    """Straight along the row first, and then along the column."""
    (row, col), (to_row, to_col) = path[-1], drawing.target
    if col != to_col:
        return row, col + (1 if to_col > col else -1)
    return row + (1 if to_row > row else -1), col


def never_back(drawing: Drawing, path: list[Cell]) -> Cell:
    """As the solver, but to no cell twice; where it is stuck, through the wall to the target."""
    fresh = [cell for cell in drawing.around(path[-1]) if cell not in path]
    steps = drawing.steps_from(drawing.target)
    return min(fresh, key=lambda cell: (steps.get(cell, 99), cell), default=drawing.target)
