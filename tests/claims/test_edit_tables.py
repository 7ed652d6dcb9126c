"""The tables of interventions: their columns, and their numbers by hand."""

import numpy as np
import pandas as pd
import pytest
from planted_edits import (
    FEW,
    METHODS,
    MOST,
    N_PAIRS,
    PLACE,
    TOKENS,
    WRITING,
    corridors,
    ledger,
    pairs,
    rows,
    singles,
)

from mazewm.claims import edit_tables
from mazewm.claims.edits import Edits


def edits_of(*parts):
    book = pd.concat(parts, ignore_index=True)
    return Edits(book, pairs(book), WRITING)


@pytest.fixture(scope="module")
def usual():
    return edits_of(ledger())


def test_every_setting_of_twins_and_moves_is_reported_once(usual):
    found = edit_tables.reported(usual)
    keys = ["kind", "k", "method", "n_units", "place", "tokens"]
    assert not found.duplicated(keys).any() and set(found.kind) == {"add", "remove", "move"}
    added = found[found.kind == "add"]
    assert set(zip(added.method, added.n_units, strict=True)) == set(METHODS)
    away = found[(found.kind == "remove") & (found.tokens == TOKENS["site"])]
    assert set(away.method) == {"latents", "mean_difference"} and not away.is_main.any()
    assert found.drop(away.index).is_main.all()


def test_what_is_reported_by_hand():
    one = rows("latents", 1, dose=2.0).assign(
        n_affected=[4, 6] * 10, n_hit=[1, 3] * 10, n_unaffected=[10, 30] * 10, n_spill=[1, 5] * 10,
        n_affected_telling=2, n_hit_telling=1, n_affected_first=[2, 3] * 10, n_hit_first=1,
        n_edited=2, n_edited_believed=[0, 1] * 10, n_others=8, n_others_changed=[2, 0] * 10,
        n_crossings=[0, 1] * 10, length=[3.0, 5.0] * 10,
    )  # fmt: skip
    validation = one.assign(split="validation")
    elsewhere = [part.assign(place="1.resid_post") for part in (one, validation)]
    table = edit_tables.reported(edits_of(one, validation, *elsewhere, rows("none")))
    found = table.iloc[0]
    assert found.drop(["low", "high"]).to_dict() == {
        "kind": "add", "k": 1, "method": "latents", "n_units": 1, "place": PLACE,
        "tokens": TOKENS["site"], "is_main": True, "dose": 2.0, "length": 4.0,
        "hit": pytest.approx(0.4), "spill": pytest.approx(0.15),
        "selectivity": pytest.approx(0.25), "hit_telling": 0.5, "hit_first": pytest.approx(0.4),
        "belief_hit": 0.25, "belief_spill": 0.125, "crossings": pytest.approx(10 / 500),
        "n_affected": 100, "n_unaffected": 400, "n": N_PAIRS,
    }  # fmt: skip
    assert found.low < 0.25 < found.high
    assert table.is_main.tolist() == [True, False, True]


def test_doses_of_both_splits(usual):
    found = edit_tables.by_dose(usual)
    assert list(found.columns) == [
        "split", "kind", "k", "method", "n_units", "place", "tokens", "dose", "length", "is_main",
        "hit", "spill", "belief_hit", "n_affected",
    ]  # fmt: skip
    assert set(found.kind) == {"add", "remove"} and not set(found.method) & {"none", "tokens"}
    mine = found[(found.kind == "add") & (found.method == "latents") & (found.n_units == 1)]
    assert sorted(zip(mine.split, mine.dose, mine.hit, mine.length, strict=True)) == [
        (split, dose, pytest.approx(0.4 * dose), 3 * dose)
        for split in ("test", "validation")
        for dose in (1.0, 2.0)
    ]
    away = (found.kind == "remove") & (found.tokens == TOKENS["site"])
    assert away.any() and (found.is_main == ~away).all()


def test_corridors_by_hand():
    table = edit_tables.corridors(edits_of(corridors(ks=(1, 3))), MOST)
    names = ["method", "n_units", "k", "is_long", "share", "low", "high", "dose", "n", "n_mazes"]
    assert list(table.columns) == names and len(table) == 5 * 2 * 2
    tokens = table[(table.method == "tokens") & (table.k == 3)].set_index("is_long")
    assert tokens.share.to_dict() == {True: pytest.approx(0.3), False: pytest.approx(0.9)}
    assert set(tokens.n) == {100} and set(tokens.n_mazes) == {N_PAIRS // 2}
    assert (tokens.low < tokens.share).all() and (tokens.share < tokens.high).all()
    nothing = edit_tables.corridors(edits_of(rows("latents", 1)), MOST)
    assert nothing.empty and list(nothing.columns) == names


def test_prompts_one_short_of_the_most_are_long():
    some = corridors(ks=(1,)).assign(n_connections=MOST - 1)
    some.loc[some.pair < 3, "n_connections"] = FEW
    table = edit_tables.corridors(edits_of(some), MOST)
    assert set(table[table.is_long].n_mazes) == {N_PAIRS - 3}
    assert set(table[~table.is_long].n_mazes) == {3}


def test_what_is_held_by_hand():
    book = singles().assign(n_connections=MOST)
    mine = (book.method == "latents") & (book.k == 4) & (book.split == "test")
    book.loc[mine, "n_others_kept"] = np.arange(N_PAIRS) % 2 + 3
    table = edit_tables.held(edits_of(book))
    assert list(table.columns) == [
        "method", "n_units", "k", "held", "low", "high", "kept", "added", "n_connections",
        "n_mazes",
    ]  # fmt: skip
    found = table[(table.method == "latents") & (table.k == 4)].iloc[0]
    assert (found.kept, found.added) == (3.5, pytest.approx(3.6))
    assert found.held == pytest.approx(7.1) and found.low < found.held < found.high
    assert (found.n_connections, found.n_mazes) == (MOST, N_PAIRS)
    nothing = edit_tables.held(edits_of(rows("latents", 1)))
    assert nothing.empty and list(nothing.columns) == list(table.columns)


def test_the_summary_has_the_main_site_by_kind(usual):
    table = edit_tables.reported(usual)
    found = edit_tables.summary(usual, table)
    assert set(found) == {"add", "remove", "move", "questions"}
    names = {f"{method}_{n}" if n else method for method, n in METHODS}
    assert set(found["add"]) == set(found["remove"]) == names | {"blind_walker"}
    walker = found["add"]["blind_walker"]
    assert walker["value"] == pytest.approx(walker["hit"] - walker["spill"]) == pytest.approx(0.1)
    one = found["add"]["latents_1"]
    assert one["value"] == pytest.approx(0.75) and one["low"] < 0.75 < one["high"]
    assert (one["hit"], one["spill"], one["dose"], one["n"]) == (0.8, 0.05, 2.0, N_PAIRS)
    assert found["remove"]["mean_difference"]["hit"] > 0.5, "not the one away from its token"
    assert found["questions"] == {
        "n_questions": 40 * N_PAIRS, "n_unique": 36 * N_PAIRS, "n_solved": 33 * N_PAIRS,
        "n_told": 31 * N_PAIRS, "n_affected": 10 * N_PAIRS,
    }  # fmt: skip
