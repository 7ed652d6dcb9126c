"""Where a connection can be written: a toy that can be written to in one layer, at one set of
tokens and with one dose only.
"""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from circuits import planted_circuit
from toys import tiny

from mazewm.counterfactuals.pairs import trees_of, twins
from mazewm.inference.posed import Posed
from mazewm.inference.resuming import ReadLists
from mazewm.inference.subject import Subject
from mazewm.inference.trials import Trial
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize import locating
from mazewm.localize.consolidation import ConsolidationParams
from mazewm.localize.locations import LIST_END, Location, WritingSite
from mazewm.localize.selectivity import selectivities, totals
from mazewm.localize.writing import (
    TOKENS,
    WritingParams,
    WritingRow,
    arrows_of,
    near_best,
    sources_of,
    write_everywhere,
)
from mazewm.maze.tokens import TokenClass
from mazewm.model.sites import Place, Site
from mazewm.run import Run

MAZES = planted_circuit.trees(61, seed=3)
TWINS = twins(trees_of(MAZES, 7), np.random.default_rng(0), 2)
DOSES = [1.0, 2.0]
SOURCES = [Location(0, TokenClass.C2), Location(1, TokenClass.DELIMITER)]
# connection e is dimension e, at a length of its own
KNOWN = {source: np.eye(12, 30) * (nth + 3) for nth, source in enumerate(SOURCES)}
MODEL = tiny("none", 20, 97)
FIRST = {"c1": 1, "<-->": 2, "c2": 3, ";": 4}  # positions, then every fourth


def what_is_written(n_connections: int, tokens, source: Location, added, dose) -> torch.Tensor:
    """The residual stream that was zero, after the edit."""
    expected = torch.zeros(len(added), 4 * n_connections + 2, 30)
    end = 4 * n_connections + 1
    for name in tokens:
        for place in [end] if name == LIST_END else range(FIRST[name], end, 4):
            expected[range(len(added)), place, added] = dose * (SOURCES.index(source) + 3)
    return expected


@pytest.mark.parametrize(
    ("source", "tokens", "dose"),
    [
        (SOURCES[0], ("c2",), 2.0),
        (SOURCES[1], (LIST_END,), 1.0),
        (SOURCES[0], (";", LIST_END), 1.0),
        (SOURCES[1], ("c1", "<-->", ";", LIST_END), 2.0),
    ],
)
def test_it_finds_the_one_place_that_can_be_written_to(monkeypatch, source, tokens, dose):
    """The toy answers for the edited maze where exactly what is planted was written, and otherwise
    for the maze in its prompt. Nothing but the edit is passed on to it."""
    wrote = {}

    def edited(self, edit):
        wrote["now"] = edit.place, edit.function(torch.zeros_like(self.resid[edit.place]))
        return self.prefix

    def solves_all(self, prefix, layer, pushes=None):
        found = compare(self, prefix, layer)
        return found._replace(agrees=np.ones_like(found.agrees))

    def follows(self, prefix, layer, pushes=None):
        place, value = wrote.pop("now")
        assert layer == place.layer
        n, added = self.lists.n_connections, self.pairs.added[:, 0]
        is_it = place == source.place and torch.equal(
            value, what_is_written(n, tokens, source, added, dose)
        )
        return self.told._replace(agrees=~self.paths.differs | is_it)

    compare = Posed.compare
    monkeypatch.setattr(ReadLists, "edited", edited)
    monkeypatch.setattr(Posed, "compare", solves_all)
    monkeypatch.setattr(Trial, "compare", follows)
    rows = tables.frame(
        write_everywhere(Subject(MODEL, MAZES, 0, 7), KNOWN, TWINS, DOSES), WritingRow
    )
    assert len(rows) == len(SOURCES) * len(TOKENS) * len(DOSES)
    assert not wrote and set(rows.tokens) == {" and ".join(one) for one in TOKENS}
    assert rows.n_affected.nunique() == 1 == rows.n_unaffected.nunique()
    hit = (rows.layer == source.layer) & (rows.tokens == " and ".join(tokens)) & (rows.dose == dose)
    assert hit.sum() == 1 and rows.n_affected[0] > 100 and rows.n_unaffected[0] > 100
    assert (rows.n_hit == np.where(hit, rows.n_affected, 0)).all() and (rows.n_spill == 0).all()
    expected = WritingSite(source.layer, tokens, source.token_class)
    assert near_best(rows, 0.02) == [expected]


def test_arrows_are_the_mean_differences_of_what_flows():
    """At c2 of a model that adds nothing, the mean difference of a connection is made of embeddings
    of its two cells."""
    model = planted_circuit.planted(n_layers=1, writes=(True, False))
    sources = [Location(0, TokenClass.C2), Location(0, TokenClass.DELIMITER)]
    known = arrows_of(Subject(model, MAZES, 0, 13), sources)
    assert list(known) == sources
    first = planted_circuit.FETCHED
    for e, (a, b) in enumerate(MAZES.grid.ends):
        fetched = known[sources[0]][e, first : first + 9]
        assert set(np.argsort(-fetched)[:2]) == {a, b}, "either comes first, and is fetched by c2"
    assert np.abs(known[sources[1]][:, first : first + 9]).max() < 1e-5, "; fetches <-->"


def formed(*accuracies: tuple[int, str, float]) -> pd.DataFrame:
    rows = pd.DataFrame(accuracies, columns=["layer", "token_class", "probe_accuracy"])
    return rows.assign(identity_accuracy=0.0)


def test_directions_are_from_the_best_token_of_every_layer_but_the_last():
    table = formed((0, "c1", 0.3), (0, "c2", 0.9), (1, ";", 0.8), (1, "c2", 0.7), (2, ";", 1.0))
    assert sources_of(table, 3) == [Location(0, TokenClass.C2), Location(1, TokenClass.DELIMITER)]
    only = formed((0, "<-->", 0.2), (0, "c2", 0.1))
    assert sources_of(only, 1) == [Location(0, TokenClass.CONNECTOR)]


def made(*rows: tuple) -> pd.DataFrame:
    """From layer, tokens, dose, and the per cents of hit and spill."""
    columns = ["layer", "tokens", "read_at", "dose", "n_hit", "n_spill"]
    content = [(layer, tokens, "c2", *numbers) for layer, tokens, *numbers in rows]
    return pd.DataFrame(content, columns=columns).assign(n_affected=100, n_unaffected=200)


def test_selectivity_is_what_is_hit_less_what_is_spilt():
    found = selectivities(made((0, ";", 1.0, 80, 40), (0, ";", 2.0, 90, 200)))
    assert found.hit.tolist() == [0.8, 0.9] and found.spill.tolist() == [0.2, 1.0]
    assert found.selectivity.tolist() == pytest.approx([0.6, -0.1])
    nothing = selectivities(made((0, ";", 1.0, 0, 0)).assign(n_affected=0, n_unaffected=0))
    assert nothing.selectivity.tolist() == [0]


RATES = made(
    (1, "c2", 1.0, 20, 0),
    (1, "c2", 4.0, 80, 0),  # its best dose counts
    (0, "c1 and <--> and <ADJLIST_END>", 1.0, 79, 0),
    (0, ";", 1.0, 90, 0),  # of which half of the others are spilt
    (0, ";", 2.0, 60, 100),
    (0, "<ADJLIST_END>", 1.0, 79, 1),
    (0, "; and <ADJLIST_END>", 1.0, 78, 0),
).assign(n_spill=lambda rows: np.where(rows.tokens == ";", 100, rows.n_spill))


@pytest.mark.parametrize(
    ("tolerance", "names"),
    [
        (0.001, ["1 c2"]),
        (0.0101, ["0 c1 <--> <ADJLIST_END>", "1 c2"]),
        (0.0151, ["0 c1 <--> <ADJLIST_END>", "1 c2", "0 <ADJLIST_END>"]),
        (0.0201, ["0 c1 <--> <ADJLIST_END>", "0 ; <ADJLIST_END>", "1 c2", "0 <ADJLIST_END>"]),
    ],
)
def test_of_what_is_nearly_best_the_most_tokens_come_first(tolerance, names):
    found = near_best(RATES, tolerance)
    assert [f"{site.layer} {' '.join(site.tokens)}" for site in found] == names
    assert all(site.read_at == TokenClass.C2 for site in found)


def test_trees_that_are_as_large_as_any_in_training_are_refused(monkeypatch, tmp_path):
    """With one connection more they would be longer than what the model was trained on."""
    largest = planted_circuit.trees(23, smallest=9)
    monkeypatch.setattr(Run, "mazes", lambda self, split: largest)
    run = Run("none", "all", 0, tmp_path)
    reading = ConsolidationParams.model_construct(n_mazes=23, tolerance=0.02, batch_size=11)
    writing = WritingParams(
        n_mazes=5, n_per_connection=1, n_carried=1, doses=[1.0], tolerance=0.02, batch_size=7
    )
    with pytest.raises(BadInput, match=r"validation.*: no tree to which a connection could be"):
        locating.locate(run, MODEL, reading, writing)
    some = planted_circuit.trees(23)
    smaller = SimpleNamespace(train=largest, validation=some, test=some)
    monkeypatch.setattr(Run, "mazes", lambda self, split: getattr(smaller, split))
    found = locating.locate(run, MODEL, reading, writing)
    assert found.locations.writing.layer == 0, "nothing reads what is written after the last layer"
    assert found.locations.writing.place == Place(0, Site.RESID_POST)
    assert {row.layer for row in found.written} == {0} and len(found.written) == len(TOKENS)
    assert sum(row.n_affected + row.n_unaffected for row in found.written) == 0, "it solves none"


def test_a_choice_sums_questions_and_refuses_rows_of_test_mazes():
    rows = pd.concat([made((0, ";", 1.0, 80, 40), (0, ";", 2.0, 90, 200))] * 2)
    chosen = totals(rows.assign(split="validation"), ["tokens", "dose"])
    once = selectivities(made((0, ";", 1.0, 80, 40), (0, ";", 2.0, 90, 200)))
    assert chosen.n_affected.tolist() == (2 * once.n_affected).tolist()
    assert np.allclose(chosen.selectivity, once.selectivity) and chosen.dose.tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="split test"):
        totals(rows.assign(split="test"), ["dose"])
