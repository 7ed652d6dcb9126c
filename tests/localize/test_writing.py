"""Where a connection can be written: a toy that can be written to at one place, one token and one
dose only.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from circuits import planted_circuit
from toys import tiny, walk_alone, wanderer

from mazewm.counterfactuals.examples import additions
from mazewm.inference import subject
from mazewm.inference.edits import add_at
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize import writing
from mazewm.localize.locations import PAPER_LOCATION, Location, Locations
from mazewm.localize.writing import CLASSES, WritingRow, arrows_of, write_everywhere, writing_site
from mazewm.maze.tokens import TokenClass, Vocabulary, connection_positions, encode, encoding_rng

MAZES = planted_circuit.trees(61, seed=3)
ASKED = additions(MAZES, np.random.default_rng(0), 2)
DOSES = [1.0, 2.0]
SITES = [Location(layer, c) for layer in range(2) for c in CLASSES]
# connection e is dimension e, at a length of its own
KNOWN = {site: np.eye(12, 30) * (nth + 1) for nth, site in enumerate(SITES)}


class Planted:
    """A toy that follows what is written at one place, token class and dose, and cannot solve its
    first mazes."""

    def __init__(self, site, dose, n_blind):
        self.site, self.dose, self.n_blind, self.encoded = site, dose, n_blind, {}

    def encode(self, mazes, rng):
        """As it is done; which example each list is of is kept in mind."""
        found = encode(mazes, rng)
        for nth, row in enumerate(found.lists):
            is_it = (ASKED.mazes.connections == mazes.connections[nth]).all(axis=1)
            is_it &= (ASKED.mazes.origin == mazes.origin[nth]) & (
                ASKED.mazes.target == mazes.target[nth]
            )
            known = set(self.encoded.values())
            self.encoded[row.tobytes()] = next(
                int(i) for i in np.flatnonzero(is_it) if int(i) not in known
            )
        return found

    def walk(self, model, mazes, lists):
        """The rollouts without an edit."""
        walked = mazes.path.copy()
        walked[np.array([self.encoded[row.tobytes()] for row in lists]) < self.n_blind, 0] = (
            7  # no path starts where it should
        )
        return walked

    def read_lists(self, model, tokens, layers):
        """What has read lists, and waits for an edit."""
        assert layers == {0, 1}
        index = np.array([self.encoded[row.tobytes()] for row in tokens])
        return SimpleNamespace(
            edited=lambda edit: (index, edit.place, edit.function(torch.zeros(*tokens.shape, 30)))
        )

    def rollouts_behind(self, model, prefixes, asked):
        """The edited path where exactly what is planted was written, the unedited one otherwise."""
        return [self.rollouts(prefix, asked) for prefix in prefixes]

    def rollouts(self, prefix, asked):
        """Of one reading of the lists."""
        index, place, value = prefix
        mazes = ASKED.mazes[index]
        assert np.array_equal(
            asked.asked[:, 0, [1, 4]] - Vocabulary(3).first_cell,
            np.stack([mazes.origin, mazes.target], axis=1),
        )
        expected = torch.zeros_like(value)
        at = connection_positions(int(mazes.n_connections[0]), self.site.token_class)
        for row, i in enumerate(index):
            expected[row, at, ASKED.added[i, 0]] = self.dose * (SITES.index(self.site) + 1)
        is_it = place == self.site.place and torch.equal(value, expected)
        return np.where(is_it, ASKED.edited[index].path, mazes.path)[:, None]


@pytest.mark.parametrize(
    ("layer", "token_class", "dose", "n_blind"),
    [(0, TokenClass.C2, 2.0, 0), (1, TokenClass.DELIMITER, 1.0, 5)],
)
def test_it_finds_the_one_place_that_can_be_written_to(
    monkeypatch, layer, token_class, dose, n_blind
):
    toy = Planted(Location(layer, token_class), dose, n_blind)
    monkeypatch.setattr(subject, "encode", toy.encode)
    for name, instead in (
        ("walk", toy.walk),
        ("ReadLists", SimpleNamespace(of=toy.read_lists)),
        ("rollouts_behind", toy.rollouts_behind),
    ):
        monkeypatch.setattr(writing, name, instead)
    asked = Subject(tiny("none", 20, 97), ASKED.mazes, 0, 7)
    rows = tables.frame(write_everywhere(asked, KNOWN, ASKED, DOSES), WritingRow)
    n = len(ASKED) - n_blind
    assert len(rows) == len(SITES) * len(DOSES) and (rows.n == n).all()
    hit = (rows.layer == layer) & (rows.token_class == str(token_class)) & (rows.dose == dose)
    assert rows.n_follow[hit].tolist() == [n] and (rows.n_follow[~hit] == 0).all()
    assert writing_site(rows, 0.02) == Location(layer, token_class)


def test_what_is_counted_are_rollouts_under_the_edit():
    """Of a random model, one by one, with the arrow added at each token of the class."""
    model, rng, n = wanderer("alibi"), np.random.default_rng(3), 6
    some, sites = ASKED[np.arange(n)], SITES[:2]
    sizes = {site: 3 * rng.standard_normal((12, 30)) for site in sites}
    texts, spelling = dict[int, np.ndarray](), encoding_rng(0)
    for index in some.mazes.by_n_connections().values():
        texts |= dict(zip(index.tolist(), encode(some.mazes[index], spelling).prompt, strict=True))

    def walks(site=None, dose=0.0):
        for nth in range(n):
            edits = []
            if site is not None:
                at = torch.from_numpy(
                    connection_positions(int(some.mazes.n_connections[nth]), site.token_class)
                )[None]
                push = dose * torch.from_numpy(sizes[site][some.added[nth, 0]]).float()
                edits = [add_at(site.place, at, lambda _, push=push: push)]
            yield walk_alone(model, texts[nth], edits)

    # Its own walks stand for the shortest paths, so that it solves its mazes (all but one), and
    # those under one edit for the edited ones.
    paths, edited = np.array(list(walks())), np.array(list(walks(sites[1], 2.0)))
    paths[0, 0] = (paths[0, 0] + 1) % 9
    solved = [nth for nth in range(1, n) if paths[nth, 9] == -1]  # a path has at most nine cells
    planted = replace(
        some,
        mazes=replace(some.mazes, path=paths[:, :9]),
        edited=replace(some.edited, path=edited[:, :9]),
    )
    rows = {
        (row.layer, row.token_class, row.dose): row
        for row in write_everywhere(Subject(model, planted.mazes, 0, 7), sizes, planted, DOSES)
    }
    counts = set()
    for site in sites:
        for dose in DOSES:
            walked = list(walks(site, dose))
            follow = sum(walked[nth] == [*edited[nth, :9], -1] for nth in solved)
            row = rows[site.layer, str(site.token_class), dose]
            assert (row.n_follow, row.n) == (follow, len(solved))
            counts.add(follow)
    assert len(solved) >= 3 and len(counts) > 1


def test_arrows_are_the_mean_differences_of_what_flows():
    """At c2 of a model that adds nothing, the mean difference of a connection is made of embeddings
    of its two cells."""
    model = planted_circuit.planted(n_layers=1, writes=(True, False))
    known = arrows_of(Subject(model, MAZES, 0, 13))
    assert list(known) == [Location(0, c) for c in CLASSES]
    at_c2 = known[Location(0, TokenClass.C2)]
    for e, (a, b) in enumerate(MAZES.grid.ends):
        fetched = at_c2[e, planted_circuit.FETCHED : planted_circuit.FETCHED + 9]
        assert set(np.argsort(-fetched)[:2]) == {a, b}, (
            "either cell comes first, and is fetched by c2"
        )


def made(rates):
    return pd.DataFrame(
        [
            {"layer": la, "token_class": c, "dose": d, "n_follow": k, "n": 100}
            for (la, c, d), k in rates.items()
        ]
    )


def test_the_first_of_what_is_nearly_best_is_the_writing_site():
    rates = {(0, "c2", 1.0): 40, (0, ";", 1.0): 79, (1, "c2", 1.0): 20, (1, "c2", 4.0): 80}
    assert writing_site(made(rates), 0.02) == Location(0, TokenClass.DELIMITER)
    assert writing_site(made(rates), 0.001) == Location(1, TokenClass.C2), "its best dose counts"
    assert writing_site(
        made({(1, ";", 1.0): 0, (0, "<-->", 1.0): 0}).assign(n=0), 0.02
    ) == Location(0, TokenClass.CONNECTOR)


def test_both_sites_are_read_as_they_are_written(tmp_path):
    sites = Locations(Location(1, TokenClass.C2), Location(2, TokenClass.CONNECTOR))
    sites.save(tmp_path)
    assert Locations.load(tmp_path, 3) == sites
    assert Location.load(tmp_path / "site.json") == sites.reading
    assert sites.studied == [sites.reading, sites.writing, PAPER_LOCATION]
    assert Locations(PAPER_LOCATION, PAPER_LOCATION).studied == [PAPER_LOCATION]


@pytest.mark.parametrize("name", ["site.json", "writing_site.json"])
def test_a_site_of_a_layer_that_is_not_there_is_refused(tmp_path, name):
    Locations(PAPER_LOCATION, PAPER_LOCATION).save(tmp_path)
    Location(4, TokenClass.C2).save(tmp_path / name)
    with pytest.raises(BadInput, match=f"/{name}: layer: expected one below 4, found 4"):
        Locations.load(tmp_path, 4)
