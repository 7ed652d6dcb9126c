"""Where a hand-wired transformer binds two cells, and how the site is chosen."""

import numpy as np
import pandas as pd
import pytest
import torch
from toys import HOOK, batch, looks_two_back, tiny

from mazewm.datasets import draw
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize import consolidation
from mazewm.localize.consolidation import FormationRow
from mazewm.localize.locations import PAPER_LOCATION, Location
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass, Vocabulary, connection_positions
from mazewm.model.sites import Place, Site

N = 3


@pytest.fixture(scope="module")
def mazes():
    family = draw.FamilyParams(generator="wilson", size=N, share=1.0)
    return draw.draw(np.random.default_rng(0), lattice(N), "trees", family, 307)


@pytest.fixture(scope="module")
def rows(mazes):
    return consolidation.formation(Subject(looks_two_back(N), mazes, 0, 101))


def test_the_hand_wired_head_attends_two_back(rows):
    own = {row.token_class: row.own_mass for row in rows}
    assert own[TokenClass.C2] == pytest.approx(1, abs=1e-4)
    for other in (TokenClass.C1, TokenClass.CONNECTOR, TokenClass.DELIMITER):
        assert own[other] == pytest.approx(0, abs=1e-4)


def test_the_connection_is_read_at_c2_and_nowhere_else(rows):
    accuracy = {row.token_class: row.probe_accuracy for row in rows}
    assert accuracy[TokenClass.C2] > 0.999
    assert accuracy[TokenClass.C1] < 0.7
    assert accuracy[TokenClass.CONNECTOR] < 0.3
    assert accuracy[TokenClass.DELIMITER] < 0.3


def test_identity_is_what_the_token_says_by_itself(rows):
    """A cell leaves two to four of twelve connections; ``<-->`` and ``;`` leave all of them."""
    identity = {row.token_class: row.identity_accuracy for row in rows}
    assert 0.3 < identity[TokenClass.C1] < 0.7 and 0.3 < identity[TokenClass.C2] < 0.7
    assert identity[TokenClass.CONNECTOR] < 0.2 and identity[TokenClass.DELIMITER] < 0.2


def test_the_site_is_c2_of_layer_0(rows):
    frame = tables.frame(rows, FormationRow)
    assert consolidation.consolidation_site(frame, 0.02) == Location(0, TokenClass.C2)


def test_uniform_attention_by_hand(rows):
    """8 connections: position p sees p + 1 keys, one of which holds the connection's other cell."""
    uniform = {row.token_class: row.own_mass_uniform for row in rows}
    assert uniform[TokenClass.C1] == 0
    assert uniform[TokenClass.C2] == pytest.approx(np.mean([1 / (4 * k + 4) for k in range(8)]))
    assert uniform[TokenClass.DELIMITER] == pytest.approx(
        np.mean([2 / (4 * k + 5) for k in range(8)])
    )


def test_a_head_that_attends_evenly_has_the_uniform_mass(mazes):
    model = tiny("none", d_vocab=len(Vocabulary(N)), n_ctx=Vocabulary(N).max_length, n_layers=1)
    model.blocks[0].attn.Q.zero_()
    for row in consolidation.formation(Subject(model, mazes[:31], 0, 31)):
        assert row.own_mass == pytest.approx(row.own_mass_uniform, abs=1e-6)


def test_recording_reads_what_the_model_holds(mazes):
    model = looks_two_back(N)
    place = Place(0, Site.RESID_PRE)
    seen = []
    for recorded in Subject(model, mazes, 0, 101).record([place]):
        one_hot = recorded.values[place][:, :, -len(Vocabulary(N)) :]
        assert torch.equal(one_hot.argmax(dim=-1), torch.from_numpy(recorded.encoded.prompt))
        assert np.array_equal(
            np.sort(recorded.encoded.order, axis=1),
            np.nonzero(mazes.connections[recorded.mazes])[1].reshape(-1, 8),
        )
        seen.extend(recorded.mazes.tolist())
    assert sorted(seen) == list(range(len(mazes)))


def test_recording_whole_sequences_adds_the_path():
    subject, place = Subject(looks_two_back(N), batch(HOOK), 0, 5), Place(0, Site.RESID_POST)
    [whole], [prompt] = subject.record([place], whole=True), subject.record([place])
    assert whole.values[place].shape[1] == prompt.values[place].shape[1] + 9 + 1


def frame_of(**accuracies):
    """Probe accuracies by ``L<layer>_<class>``; the other sites have 0.1. Identity tells nothing,
    unless it is given by ``at_<class>``."""
    names = dict(zip(("c1", "connector", "c2", "delimiter"), CONNECTION_CLASSES, strict=True))
    rows = [
        {
            "layer": layer,
            "token_class": str(c),
            "probe_accuracy": accuracies.get(f"L{layer}_{name}", 0.1),
            "identity_accuracy": accuracies.get(f"at_{name}", 0.0),
        }
        for layer in (1, 0)
        for name, c in reversed(names.items())
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("accuracies", "layer", "token_class"),
    [
        ({"L0_delimiter": 0.99, "L1_c2": 0.995}, 0, ";"),  # an earlier layer, within the tolerance
        ({"L0_delimiter": 0.97, "L1_c2": 0.995}, 1, "c2"),  # not within it
        ({"L1_delimiter": 0.99, "L1_c2": 0.98}, 1, "c2"),  # an earlier token of one layer
        ({"L0_delimiter": 0.99, "L0_connector": 0.98, "L1_c1": 1.0}, 0, "<-->"),
        ({"L1_delimiter": 0.6}, 1, ";"),
        # what a cell says by itself does not count
        ({"L0_c2": 0.5, "at_c2": 0.5, "L1_delimiter": 0.4}, 1, ";"),
        ({"L0_c2": 0.8, "at_c2": 0.5, "L1_delimiter": 0.59}, 0, "c2"),
    ],
)
def test_the_first_site_within_the_tolerance_is_chosen(accuracies, layer, token_class):
    assert consolidation.consolidation_site(frame_of(**accuracies), 0.02) == Location(
        layer, TokenClass(token_class)
    )


def test_sites_are_read_as_they_are_written(tmp_path):
    path, site = tmp_path / "site.json", Location(3, TokenClass.CONNECTOR)
    site.save(path)
    assert Location.load(path) == site
    assert site.place == Place(3, Site.RESID_POST)
    assert str(PAPER_LOCATION) == "0.resid_post at ;"


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"layer": 0, "token_class": "end"}', '{"layer": "x", "token_class": ";"}'],
)
def test_a_site_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "site.json"
    path.write_text(text)
    with pytest.raises(BadInput, match="site.json"):
        Location.load(path)


def test_spelling_positions_are_those_of_the_hand_wired_model():
    assert connection_positions(2, TokenClass.C2).tolist() == [3, 7]
