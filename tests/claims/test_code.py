"""The numbers of one run by which encodings are compared."""

import numpy as np
import pandas as pd
import pytest
from planted import feature_rows, position_rows, run_tables
from planted_paths import binding_rows, carried_rows, direction_rows, head_rows

from mazewm.claims import code
from mazewm.claims.run import code_of
from mazewm.localize.locations import Location
from mazewm.maze.tokens import TokenClass

CONNECTOR, C2, DELIMITER = (
    str(Location(1, token)) for token in (TokenClass.CONNECTOR, TokenClass.C2, TokenClass.DELIMITER)
)


def scaled(rows, by):
    """Projections that fall by less: from 1 to 1 - 0.6 ``by``."""
    return rows.assign(projection=1 - by * (1 - rows.projection))


def test_what_heads_bring_is_a_part_of_the_projection():
    sets = {"binding": 0.9, "others": 0.2}
    rows = pd.concat(
        [
            binding_rows(sets, C2, noise=0.01),
            scaled(binding_rows(sets, DELIMITER, noise=0.01), 0.5),
            binding_rows(sets, str(Location(0, TokenClass.DELIMITER))),  # of another block
        ]
    )
    found = code.where_bound(rows, 1)
    assert found["brought_to_c2"]["value"] == pytest.approx(0.6, abs=0.01)
    assert found["brought_to_delimiter"]["value"] == pytest.approx(0.3, abs=0.01)
    assert found["brought_to_connector"] == {"value": 0.0}, "the change does not reach it"
    # 0.3 of 0.6 + 0.3; without the binding heads 0.2 of all that is lost is
    assert found["share_at_delimiter"]["value"] == pytest.approx(1 / 3, abs=0.01)
    assert found["lost_by_others"]["value"] == pytest.approx(0.2, abs=0.02)
    assert found["projection_c2"]["value"] == pytest.approx(1, abs=0.01)
    one = found["share_at_delimiter"]
    assert one["low"] < one["value"] < one["high"] and one["n"] == 60
    assert code.where_bound(rows, 2) == {}, "nothing is measured after that block"


def test_a_weak_direction_counts_for_little():
    """At ``;`` heads bring all of a projection that is small: little of all that is bound."""
    weak = binding_rows({"binding": 1.0, "others": 0.0}, DELIMITER, noise=0.0)
    weak["projection"] = 0.1 * (weak.projection - 0.4) / 0.6
    rows = pd.concat([binding_rows({"binding": 1.0, "others": 0.0}, C2, noise=0.01), weak])
    found = code.where_bound(rows, 1)
    assert found["brought_to_delimiter"]["value"] == pytest.approx(0.1)
    assert found["projection_delimiter"]["value"] == pytest.approx(0.1)
    assert found["share_at_delimiter"]["value"] == pytest.approx(0.1 / 0.7, abs=0.01)


def test_heads_are_counted_once_over_all_tokens():
    heads = head_rows(
        {C2: [(0, 1), (1, 2)], DELIMITER: [(1, 2), (1, 3)], "0.resid_post at ;": [(0, 0)]}
    )
    found = code.which_heads(heads, 1)
    assert found["binding_heads"] == {"value": 3.0}
    assert found["their_block"]["value"] == pytest.approx(2 / 3)
    assert code.which_heads(heads.head(0), 1) == {"binding_heads": {"value": 0.0}}


def test_one_token_or_spread():
    rows = pd.DataFrame(
        [(0, "c2", 1.0, 5, 1), (0, ";", 2.0, 4, 0), (1, "c2 and ;", 1.0, 10, 2)],
        columns=["layer", "tokens", "dose", "n_hit", "n_spill"],
    ).assign(n_affected=10, n_unaffected=20)
    found = code.where_written(rows, 1)
    assert found == {"read_block": {"value": 1.0}, "single_share": {"value": 0.5}}  # 0.45 of 0.9
    nowhere = code.where_written(rows.assign(n_hit=0), 1)
    assert nowhere == {"read_block": {"value": 1.0}}


def test_what_is_not_detected_takes_more_latents_than_a_tree_has():
    trees = pd.DataFrame(
        {
            "connection": [0, 0, 1, 2, 3],
            "mcc_chosen": [0.9, 0.895, 0.8, 0.69, 0.1],
            "units": [[7, 8], [7], [1, 2, 3], [7], [7]],
        }
    )
    found = code.latents_needed(trees)
    assert found["share_detected"]["value"] == 0.5
    assert found["latents_needed"]["value"] == (1 + 3 + 8 + 8) / 4
    nothing = code.latents_needed(trees.assign(mcc_chosen=0.1))
    assert nothing["share_detected"]["value"] == 0.0 and nothing["latents_needed"]["value"] == 8.0


def test_all_runs_are_compared_after_the_same_block():
    """Of two runs that differ only in the block where they read, heads bring as much. The planted
    models have two blocks, so it is block 0 that counts."""
    sets = {"binding": 0.9, "others": 0.2}
    early = str(Location(0, TokenClass.C2))
    binding = pd.concat(
        [binding_rows(sets, early, noise=0.01), scaled(binding_rows(sets, C2, noise=0.01), 0.5)]
    )
    heads = head_rows({early: [(0, 1)], C2: [(0, 0), (1, 0), (1, 1)]})
    first, second = (
        code_of(run_tables(Location(layer, TokenClass.C2), binding=binding, heads=heads))
        for layer in (0, 1)
    )
    assert first["brought_to_c2"]["value"] == pytest.approx(0.6, abs=0.01)
    assert first["binding_heads"] == {"value": 1.0}
    assert (first.pop("read_block"), second.pop("read_block")) == ({"value": 0.0}, {"value": 1.0})
    assert first == second


def test_edits_carried_are_a_share_of_the_selectivity_in_the_own_half():
    found = code.edits_carried(carried_rows(own=8, other=4))["edits_carried"]
    assert found["value"] == pytest.approx((0.45 - 0.05) / (0.85 - 0.05), abs=1e-3)
    tried = carried_rows(8, 8).assign(split="validation", n_hit=0)
    with_choice = pd.concat([tried, carried_rows(8, 4)])
    assert code.edits_carried(with_choice)["edits_carried"] == found
    curve = code.carried_curve(with_choice).set_index(["written_at", "found_at"])
    assert curve.value["early", "early"] == pytest.approx(0.8)
    assert curve.value["early", "late"] == pytest.approx(0.4)
    assert code.edits_carried(tried) == {}, "the choice is not the result"


def test_f1_carried_is_a_share_of_that_in_the_own_half():
    rows = position_rows("here")
    found = code.carried(rows.assign(f1=rows.f1 + 0.001 * rows.connection), "here")
    assert found["f1_carried"]["value"] == pytest.approx(0.802 / 0.902)
    assert code.carried(rows, "elsewhere") == {}


def test_numbers_of_nothing_are_left_out():
    trees = feature_rows({"latents": 0.9})
    found = code.latents_needed(trees)
    assert found["latents_needed"] == {"value": 2.0} and found["share_detected"]["value"] == 1.0
    assert code.latents_needed(trees.head(0)) == {}
    rows = direction_rows(np.eye(6), "here")
    assert code.geometry_of(rows.head(0)) == {}
    assert code.geometry_of(rows)["cosine_early_late"]["value"] == pytest.approx(1)
