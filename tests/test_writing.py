"""Where a connection can be written: a toy that can be written to at one place, one token and one dose only."""

import numpy as np
import pandas as pd
import pytest
import torch
from circuits import planted_circuit
from toys import tiny

from mazewm import tables, writing
from mazewm.consolidation import PAPER_SITE, SpellingSite
from mazewm.errors import BadInput
from mazewm.maze.examples import additions
from mazewm.model.sites import Place, Site
from mazewm.tokens import TokenClass, spelling_positions
from mazewm.writing import CLASSES, Sites, WritingRow, arrows, look, writing_site

MAZES = planted_circuit.trees(61, seed=3)
ASKED = additions(MAZES, np.random.default_rng(0), 2)
DOSES = [1.0, 2.0]
SITES = [SpellingSite(layer, c) for layer in range(2) for c in CLASSES]
KNOWN = {site: np.eye(12, 30) * (nth + 1) for nth, site in enumerate(SITES)}  # connection e is dimension e, at a length of its own


def planted_rollout(place, token_class, dose, n_blind=0):
    """Rollouts of a toy that follows what is written at one place, token class and dose, and cannot solve its first mazes."""
    told = {}

    def rollout(model, prompt, tap=None):
        index = [next(i for i in told["index"] if (told["prompts"][i] == row.tolist())) for row in prompt]
        mazes, edited = ASKED.mazes[np.array(index)], ASKED.edited[np.array(index)]
        if tap is None:
            walked = mazes.path.copy()
            walked[np.array(index) < n_blind, 0] = 7  # no path starts where it should
            return walked
        value = tap(place, torch.zeros(*prompt.shape, 30))
        n = int(mazes.n_connections[0])
        expected = torch.zeros_like(value)
        for row, i in enumerate(index):
            size = dose * (SITES.index(SpellingSite(place.layer, token_class)) + 1)
            expected[row, spelling_positions(n, token_class), ASKED.added[i, 0]] = size
        return np.where(torch.equal(value, expected), edited.path, mazes.path)

    return rollout, told


@pytest.mark.parametrize(("layer", "token_class", "dose"), [(0, TokenClass.C2, 2.0), (1, TokenClass.DELIMITER, 1.0)])
def test_it_finds_the_one_place_that_can_be_written_to(monkeypatch, layer, token_class, dose):
    rollout, told = planted_rollout(Place(layer, Site.RESID_POST), token_class, dose)
    spelled = {}
    real = writing.spell

    def spell(mazes, rng):
        found = real(mazes, rng)
        for maze, row in zip(range(len(mazes)), found.prompt, strict=True):
            same = np.all(ASKED.mazes.connections == mazes.connections[maze], axis=1) & (ASKED.mazes.origin == mazes.origin[maze])
            i = next(int(j) for j in np.flatnonzero(same & (ASKED.mazes.target == mazes.target[maze])) if j not in spelled)
            spelled[i] = row.tolist()
        told.update(index=list(spelled), prompts=spelled)
        return found

    monkeypatch.setattr(writing, "spell", spell)
    monkeypatch.setattr(writing, "rollout", rollout)
    rows = tables.frame(look(tiny("none", 20, 97), KNOWN, ASKED, DOSES, 0, 7), WritingRow)
    assert len(rows) == len(SITES) * len(DOSES) and (rows.n == len(ASKED)).all()
    hit = (rows.layer == layer) & (rows.token_class == str(token_class)) & (rows.dose == dose)
    assert rows.n_follow[hit].tolist() == [len(ASKED)] and (rows.n_follow[~hit] == 0).all()
    assert writing_site(rows, 0.02) == SpellingSite(layer, token_class)


def test_arrows_are_the_mean_differences_of_what_flows():
    """At c2 of a model that adds nothing, the mean difference of a connection is made of embeddings of its two cells."""
    model = planted_circuit.planted(n_layers=1, writes=(True, False))
    known = arrows(model, MAZES, 0, 13)
    assert list(known) == [SpellingSite(0, c) for c in CLASSES]
    at_c2 = known[SpellingSite(0, TokenClass.C2)]
    for e, (a, b) in enumerate(MAZES.grid.ends):
        fetched = at_c2[e, planted_circuit.FETCHED : planted_circuit.FETCHED + 9]
        assert set(np.argsort(-fetched)[:2]) == {a, b}, "either cell comes first, and is fetched by c2"


def made(rates):
    return pd.DataFrame([{"layer": la, "token_class": c, "dose": d, "n_follow": k, "n": 100} for (la, c, d), k in rates.items()])


def test_the_first_of_what_is_nearly_best_is_the_writing_site():
    rates = {(0, "c2", 1.0): 40, (0, ";", 1.0): 79, (1, "c2", 1.0): 20, (1, "c2", 4.0): 80}
    assert writing_site(made(rates), 0.02) == SpellingSite(0, TokenClass.DELIMITER)
    assert writing_site(made(rates), 0.001) == SpellingSite(1, TokenClass.C2), "its best dose counts"
    assert writing_site(made({(1, ";", 1.0): 0, (0, "<-->", 1.0): 0}).assign(n=0), 0.02) == SpellingSite(0, TokenClass.CONNECTOR)


def test_both_sites_are_read_as_they_are_written(tmp_path):
    sites = Sites(SpellingSite(1, TokenClass.C2), SpellingSite(2, TokenClass.CONNECTOR))
    sites.save(tmp_path)
    assert Sites.load(tmp_path, 3) == sites
    assert SpellingSite.load(tmp_path / "site.json") == sites.reading
    assert sites.studied == [sites.reading, sites.writing, PAPER_SITE]
    assert Sites(PAPER_SITE, PAPER_SITE).studied == [PAPER_SITE]


@pytest.mark.parametrize("name", ["site.json", "writing_site.json"])
def test_a_site_of_a_layer_that_is_not_there_is_refused(tmp_path, name):
    Sites(PAPER_SITE, PAPER_SITE).save(tmp_path)
    SpellingSite(4, TokenClass.C2).save(tmp_path / name)
    with pytest.raises(BadInput, match=f"/{name}: layer: expected one below 4, found 4"):
        Sites.load(tmp_path, 4)
