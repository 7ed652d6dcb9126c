"""Which conditions stand beside which."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from planted import INTERVENTIONS, trees
from toys import WHOLE, batch

from mazewm.counterfactuals import examples
from mazewm.interventions.conditions import Condition
from mazewm.interventions.design import check_every_kind, conditions_of
from mazewm.io.errors import BadInput

PARAMS = INTERVENTIONS.model_copy(update={"several_doses": [3.0]})
CHOSEN = {"latents", "mean_difference", "probe_direction"}


def by_method(kind, n_changed=1, split="test", is_main=True):
    found = conditions_of(kind, n_changed, split, is_main, PARAMS)
    assert len(set(found)) == len(found)
    return found, Counter(c.method for c in found)


def test_what_is_done_to_add_one():
    found, counts = by_method("add")
    # 2 places, 2 doses, 2 sizes
    four = (
        "mean_difference",
        "probe_direction",
        "fixed_value",
        "random_direction",
        "random_latents",
        "other_connection",
    )
    assert counts == {"latents": 8, "tokens": 1, "no_op": 1} | dict.fromkeys(four, 4)
    assert {
        c.n_latents
        for c in found
        if c.method in ("random_latents", "other_connection", "fixed_value")
    } == {3}


def test_what_is_done_to_remove_one():
    found, counts = by_method("remove")
    two = (
        "mean_difference",
        "probe_direction",
        "latents_and_cells",
        "random_direction",
        "random_latents",
        "other_latents",
    )
    assert counts == {"latents": 4, "tokens": 1, "no_op": 1} | dict.fromkeys(two, 2)
    assert {c.where for c in found} == {"own"} and {
        c.n_latents for c in found if c.method == "latents_and_cells"
    } == {3}


def test_what_is_chosen_on_validation_mazes():
    for kind in ("add", "remove"):
        chosen, _ = by_method(kind, split="validation")
        assert set(chosen) == {c for c in by_method(kind)[0] if c.method in CHOSEN}


def test_a_site_beside_gets_less():
    found, counts = by_method("add", is_main=False)
    assert {c.where for c in found} == {"all"} and {
        c.dose for c in found if c.method not in ("no_op", "tokens")
    } == {2.0}
    assert set(counts) == set(by_method("add")[1])


@pytest.mark.parametrize("kind", ["move", "several", "overload"])
def test_more_than_one_is_changed_at_the_main_site_and_on_test_mazes_only(kind):
    assert (
        conditions_of(kind, 1, "validation", True, PARAMS)
        == conditions_of(kind, 1, "test", False, PARAMS)
        == []
    )
    found, counts = by_method(kind, 2)
    edits = CHOSEN | {"random_direction", "random_latents", "other_connection"}
    places = {"own"} if kind == "move" else {"all", "borrowed"}
    assert {(c.method, c.where, c.dose) for c in found if c.method in edits} == {
        (m, w, 3.0) for m in edits for w in places
    }
    assert {c.n_latents for c in found if "latents" in c.method} == {3}
    assert set(counts) - edits == {"tokens", "no_op"} | (
        {"repeated", "shifted"} if kind == "overload" else set()
    )


def test_where_nothing_is_added_there_is_nothing_to_edit():
    assert conditions_of("overload", 0, "test", True, PARAMS) == [
        Condition(m, "all", 0, 1.0) for m in ("tokens", "no_op")
    ]


def test_examples_in_which_nothing_is_changed_are_not_enough():
    """A ring lacks no connection: nothing can be added to it, but it can be asked about as it
    is."""
    ring, rng = batch(WHOLE), np.random.default_rng(0)
    unedited, none = (examples.overload(ring, rng, k, 5, 4) for k in (0, 1))
    assert (len(unedited), len(none), unedited.n_changed) == (1, 0, 0)
    with pytest.raises(
        BadInput, match=r"^mazes/test.parquet: no maze has an example of 'overload'.*\.$"
    ):
        check_every_kind([unedited, none], Path("mazes/test.parquet"))
    some = examples.overload(trees(53), rng, 1, 5, 7)
    check_every_kind([unedited, none, some], Path("mazes/test.parquet"))
    with pytest.raises(BadInput, match="'add'"):
        check_every_kind([some, examples.additions(ring, rng, 5)], Path("mazes/test.parquet"))
