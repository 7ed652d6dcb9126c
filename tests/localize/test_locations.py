"""Locations as files: read as they were written, and refused with a sentence that says what was
expected.
"""

import json
import re

import pytest

from mazewm.io.errors import BadInput
from mazewm.localize.locations import LIST_END, PAPER_LOCATION, Location, Locations, WritingSite
from mazewm.maze.tokens import TokenClass
from mazewm.model.sites import Place, Site

SITE = WritingSite(2, (";", LIST_END), TokenClass.C2)
BOTH = Locations(Location(1, TokenClass.CONNECTOR), SITE)


def test_both_sites_are_read_as_they_are_written(tmp_path):
    BOTH.save(tmp_path)
    assert Locations.load(tmp_path, 3) == BOTH
    assert Location.load(tmp_path / "site.json") == BOTH.reading
    assert WritingSite.load(tmp_path / "writing_site.json") == SITE


def test_locations_are_studied_once_each():
    assert BOTH.studied == [BOTH.reading, Location(2, TokenClass.C2), PAPER_LOCATION]
    here = WritingSite(0, (LIST_END,), TokenClass.DELIMITER)
    assert Locations(PAPER_LOCATION, here).studied == [PAPER_LOCATION]


def test_a_writing_site_knows_its_place_and_its_positions():
    """In a list of two connections: 0 <ADJLIST_START>, 1 to 8, and 9 <ADJLIST_END>."""
    assert SITE.place == Place(2, Site.RESID_POST) and SITE.source == Location(2, TokenClass.C2)
    assert str(SITE) == "2.resid_post at ; and <ADJLIST_END>"
    assert SITE.positions(2).tolist() == [4, 8, 9]
    assert WritingSite(0, ("c2", "c1"), TokenClass.C1).positions(2).tolist() == [1, 3, 5, 7]
    assert WritingSite(0, ("<-->",), TokenClass.C1).positions(1).tolist() == [2]


FINE = {"layer": 0, "tokens": [";"], "read_at": "c2"}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"layer": 0, "tokens": [";"]},
        FINE | {"layer": "x"},
        FINE | {"layer": -1},
        FINE | {"layer": None},
        FINE | {"tokens": []},
        FINE | {"tokens": ["frame"]},
        FINE | {"tokens": [";", "c3"]},
        FINE | {"tokens": [[";"]]},
        FINE | {"tokens": 5},
        FINE | {"tokens": "c1"},
        FINE | {"read_at": "frame"},
        FINE | {"read_at": LIST_END},
        FINE | {"read_at": None},
    ],
    ids=str,
)
def test_a_writing_site_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "writing_site.json"
    path.write_text(json.dumps(content))
    says = (
        f"{path}: expected a layer from 0, tokens of ['c1', '<-->', 'c2', ';', '<ADJLIST_END>'] "
        f"and a read_at of ['c1', '<-->', 'c2', ';'], found {content!r}."
    )
    with pytest.raises(BadInput, match=f"^{re.escape(says)}$"):
        WritingSite.load(path)
    path.write_text(json.dumps(FINE))
    assert WritingSite.load(path) == WritingSite(0, (";",), TokenClass.C2)


def test_a_writing_site_that_is_missing_or_cut_off_is_refused(tmp_path):
    path = tmp_path / "writing_site.json"
    with pytest.raises(BadInput, match=r"writing_site.json: .*missing; expected a writing site"):
        WritingSite.load(path)
    path.write_text("{")
    with pytest.raises(BadInput, match=r"writing_site.json: not JSON .*expected a writing site"):
        WritingSite.load(path)


def test_a_site_of_a_layer_that_is_not_there_is_refused(tmp_path):
    BOTH.save(tmp_path)
    with pytest.raises(BadInput, match="/writing_site.json: layer: expected one below 2, found 2"):
        Locations.load(tmp_path, 2)
    Location(4, TokenClass.C2).save(tmp_path / "site.json")
    with pytest.raises(BadInput, match="/site.json: layer: expected one below 4, found 4"):
        Locations.load(tmp_path, 4)
