"""Writing at the tokens after the list, in a toy that can be written to at one set of tokens and
with one dose only.
"""

import numpy as np
import pytest
import torch
from counterfactuals.small_trees import every_kind
from toys import wanderer

from mazewm.inference.posed import Posed
from mazewm.inference.resuming import ReadLists
from mazewm.inference.trials import Trial
from mazewm.io import tables
from mazewm.maze.tokens import Asking
from mazewm.planning.frame_writing import OWN, RANDOM, SETS, FrameRow, FrameWriting, best
from mazewm.planning.reading import LIST_END, NAMES

TWINS = every_kind(120, 4, 3)["add"]
COUNTS = ["n_affected", "n_hit", "n_unaffected", "n_spill"]
# at the nth token of the frame connection e is dimension e, with the length nth + 3
ARROWS = {
    (token, depth): np.eye(12, 30) * (nth + 3)
    for nth, token in enumerate(SETS["frame"])
    for depth in (1, 2)
}
PLACES = {name: token for token, name in NAMES.items()}


def writes(monkeypatch, tokens: str, depth: int, dose: float):
    """Plants where the toy can be written to: it answers for the edited maze where exactly the
    arrows of the set ``tokens`` were added, and otherwise for the maze in its prompt."""
    wrote, compare = {}, Posed.compare

    def solves_all(self, prefix, layer, pushes=None):
        found = compare(self, prefix, layer, pushes)
        return found._replace(agrees=np.ones_like(found.agrees))

    def edited(self, edit):
        resid = torch.zeros_like(self.resid[edit.place])
        wrote[LIST_END] = edit.function(resid)
        return self.prefix

    def follows(self, prefix, layer, pushes=None):
        at_end, asked = wrote.pop(LIST_END, None), {Asking(token) for token in pushes}
        is_it = layer == depth - 1 and (at_end is None) == (LIST_END not in SETS[tokens])
        is_it &= asked == {PLACES[name] for name in SETS[tokens] if name != LIST_END}
        e = torch.from_numpy(self.pairs.added[:, 0])
        for nth, name in enumerate(SETS["frame"] if is_it else ()):
            expected = dose * (nth + 3) * torch.eye(30)[e]
            if name == LIST_END and at_end is not None:
                is_it &= torch.equal(at_end[:, -1], expected) and not at_end[:, :-1].any()
            elif name in SETS[tokens]:
                is_it &= torch.equal(pushes[PLACES[name]], expected)
        return self.told._replace(agrees=~self.paths.differs | is_it)

    monkeypatch.setattr(Posed, "compare", solves_all)
    monkeypatch.setattr(ReadLists, "edited", edited)
    monkeypatch.setattr(Trial, "compare", follows)


@pytest.mark.parametrize(
    ("tokens", "depth", "dose"), [("list end", 1, 2.0), ("question", 2, 1.0), ("frame", 1, 1.0)]
)
def test_it_finds_the_tokens_depth_and_dose_that_write(monkeypatch, tokens, depth, dose):
    writes(monkeypatch, tokens, depth, dose)
    study = FrameWriting(wanderer("learned", 3), ARROWS, 0)
    chosen = study.choose(TWINS, [1.0, 2.0])
    rows = tables.frame(chosen, FrameRow)
    assert len(rows) == len(TWINS) * len(SETS) * 2 * 2 * 2 and rows.n_affected.sum() > 0
    is_it = (rows[["tokens", "depth", "method", "dose"]] == [tokens, depth, OWN, dose]).all(axis=1)
    assert (rows.n_hit == np.where(is_it, rows.n_affected, 0)).all()
    found = {(one.tokens, one.method): one for one in best(chosen)}
    assert len(found) == len(SETS) * 2
    assert (found[tokens, OWN].depth, found[tokens, OWN].dose) == (depth, dose)
    reported = tables.frame(study.report(TWINS, chosen), FrameRow)
    assert set(reported.split) == {"test"} and len(reported) == len(TWINS) * len(SETS) * 2
    shown = reported.groupby(["tokens", "method"])[COUNTS].sum()
    assert shown.n_hit[tokens, OWN] == shown.n_affected[tokens, OWN]
    assert shown.n_hit.drop((tokens, OWN)).sum() == 0


def test_a_random_push_is_as_long_and_the_choice_is_from_validation_twins(monkeypatch):
    lengths = []

    def compare(self, prefix, layer, pushes=None):
        lengths.append([float(push.norm(dim=1).mean()) for push in (pushes or {}).values()])
        return self.told

    monkeypatch.setattr(Trial, "compare", compare)
    chosen = FrameWriting(wanderer("learned"), ARROWS, 0).choose(TWINS, [2.0])
    expected = [2.0 * (nth + 3) for nth in range(1, 8)]
    asked = [one for one in lengths if one]
    assert len(asked) > 3 and all(one == pytest.approx(expected) for one in asked)
    assert {row.method for row in chosen} == {OWN, RANDOM}
    rows = tables.frame(chosen, FrameRow).assign(split="test")
    with pytest.raises(RuntimeError, match="split test"):
        best([FrameRow(**row) for row in rows.to_dict("records")])
