"""C6 on made-up corridors and additions in which the truth is planted."""

import numpy as np
import pandas as pd
import pytest
from planted import verdict
from planted_edits import CORRIDORS, MOST, N_PAIRS, WRITING, corridors, pairs, rows, singles

from mazewm.claims import capacity
from mazewm.claims.edits import Edits


def edits_of(*parts):
    book = pd.concat(parts, ignore_index=True)
    return Edits(book, pairs(book), WRITING)


def test_which_corridors_are_beyond_training_and_which_within():
    found = capacity.corridors(edits_of(corridors(ks=(1, 2, 3, 4))), "latents", 3, MOST)
    beyond, within = (set(part.index.get_level_values("k")) for part in found)
    assert beyond == {2, 3, 4} and set(found.beyond.n_connections) == {7}, "7 + 2 > 7"
    assert within == {2, 3} and set(found.within.n_connections) == {4}, "4 + 4 > 7, in short ones"
    assert len(found.beyond) == 3 * N_PAIRS // 2
    assert set(found.beyond.method) == {"latents"} and set(found.beyond.n_units) == {3}


def test_c6a_latents_beyond_training():
    found = capacity.holds_more(edits_of(corridors()), MOST)
    assert (found.id, verdict(found)) == ("C6a", "supported")
    assert found.value.value == pytest.approx(0.8)
    values = {one.name: one.value.value for one in found.controls}
    assert values == {
        "random direction": pytest.approx(0.1),
        "no edit": 0,
        "the blind walker": pytest.approx(0.1),
    }
    book = corridors()
    seeing = Edits(book, pairs(book, blind=0.9), WRITING)
    assert verdict(capacity.holds_more(seeing, MOST)) == "not beyond the control"
    random = CORRIDORS | {("random_direction", 0): (0.99, 0.1)}
    assert verdict(capacity.holds_more(edits_of(corridors(random)), MOST)) == "refuted"
    book = corridors()
    own = book[book.method == "latents"]
    alike = own.assign(method="random_direction", n_units=0)
    changed = (own.k == 2) & (own.pair % 5 < 2)
    alike.loc[changed, "n_hit"] += np.where(own[changed].pair % 5 == 0, 1, -1)
    as_good = edits_of(book[book.method != "random_direction"], alike)
    assert verdict(capacity.holds_more(as_good, MOST)) == "not beyond the control"
    found = capacity.by_walkers(Edits(book, pairs(book, blind=0.1, near=0.4), WRITING), MOST)
    assert found["blind"]["value"] == pytest.approx(0.1)
    assert found["near"]["value"] == pytest.approx(0.4)
    only_short = corridors(ks=(1,))
    assert capacity.by_walkers(edits_of(only_short), MOST) == {}
    found = capacity.holds_more(edits_of(only_short), MOST)
    assert verdict(found) == "unmeasured" and found.reason == capacity.NOT_FOUND


def test_c6b_by_hand():
    # latents .8 and tokens .3 beyond training, .8 and .9 within
    found = capacity.fails_as_tokens(edits_of(corridors()), MOST)
    assert found.value.value == pytest.approx(0.8)
    tokens, advantage = found.controls
    assert tokens.gap.value == pytest.approx(0.8 - 0.3)
    assert advantage.value.value == pytest.approx(0.8 - 0.9)
    assert advantage.gap.value == pytest.approx((0.8 - 0.3) - (0.8 - 0.9))
    many = corridors(ks=(2, 3))
    parts = [many.assign(pair=many.pair + 20 * n, connection_set=many.pair + 20 * n)
             for n in range(4)]  # fmt: skip
    assert verdict(capacity.fails_as_tokens(edits_of(*parts), MOST)) == "supported"
    better = CORRIDORS | {("tokens", 0): (0.95, 0.95), ("latents", 3): (0.5, 0.5)}
    assert verdict(capacity.fails_as_tokens(edits_of(corridors(better)), MOST)) == "refuted"
    always = CORRIDORS | {("tokens", 0): (0.3, 0.3)}
    assert verdict(capacity.fails_as_tokens(edits_of(corridors(always)), MOST)) != "supported", (
        "tokens fail by as much on short prompts"
    )
    none = corridors(ks=(4,))  # too long for short prompts to stay within training
    assert verdict(capacity.fails_as_tokens(edits_of(none), MOST)) == "unmeasured"


def test_the_difference_in_differences_is_at_equal_k():
    """The advantage is 0.4 for k = 2 and 0 for k = 3, on long and on short prompts alike. There are
    many more long prompts for k = 3, which must not make a difference; nor must k = 4."""
    parts = []
    for k, latents, tokens, n_long in ((2, 0.8, 0.4, 1), (3, 0.5, 0.5, 5), (4, 0.9, 0.1, 1)):
        rates = {("latents", 3): (latents,) * 2, ("tokens", 0): (tokens,) * 2}
        some = corridors(rates, ks=(k,))
        long = some[some.n_connections == MOST]
        parts.append(some)
        parts += [
            long.assign(pair=long.pair + 100 * n, connection_set=long.pair + 100 * n)
            for n in range(1, n_long)
        ]
    found = capacity.fails_as_tokens(edits_of(*parts), MOST)
    assert found.controls[1].gap.value == pytest.approx(0, abs=0.01)
    assert found.controls[0].gap.value < 0.35, "pooled over k it is less than the mean of 0.4"


def test_mazes_with_equal_connections_count_together():
    book = corridors()
    alone, together = (
        capacity.holds_more(edits_of(some), MOST)
        for some in (book, book.assign(connection_set=book.pair // 2))
    )
    assert alone.value.value == together.value.value
    assert [one.controls[0].gap.n_clusters for one in (alone, together)] == [10, 5]


def test_c6c_how_many_are_added_is_chosen_on_validation():
    found = capacity.believes_more(edits_of(singles()), MOST)
    assert (found.id, verdict(found)) == ("C6c", "supported") and found.measure.endswith("4 added")
    assert found.value.value == pytest.approx((7 + 0.9 * 4) / 7)
    most, random, blind = found.controls
    assert most.value.value == 1 and most.gap.value == pytest.approx(0.9 * 4 / 7)
    assert random.gap.value == pytest.approx((0.9 - 0.1) * 4 / 7)
    assert blind.value.value == pytest.approx((7 + 4 - 5) / 7)
    book = singles()
    spoilt = (book.k == 4) & (book.split == "validation")
    book.loc[spoilt, "n_others_kept"] = 0
    assert capacity.believes_more(edits_of(book), MOST).measure.endswith("2 added")
    book.loc[book.split == "test", "n_others_kept"] = 2
    assert verdict(capacity.believes_more(edits_of(book), MOST)) == "refuted"
    nothing = edits_of(singles(ks=(0,)), rows("latents", 3))
    assert verdict(capacity.believes_more(nothing, MOST)) == "unmeasured"


def test_c6c_compares_the_same_pairs():
    book = singles(ks=(4,))
    book = book[book.split == "test"].assign(n_edited_believed=0)
    random, own = (book.method == name for name in ("random_direction", "latents"))
    book.loc[random, "n_edited_believed"] = np.arange(N_PAIRS) // 5
    book.loc[own, "n_edited_believed"] = np.arange(N_PAIRS) // 5 + (np.arange(N_PAIRS) < 5)
    shuffled = pd.concat([book[~random], book[random & (book.pair != 3)][::-1]])
    validation = singles(ks=(4,))
    found = capacity.believes_more(
        edits_of(shuffled, validation[validation.split == "validation"]), MOST
    )
    gap = found.controls[1].gap
    assert gap.value == pytest.approx(4 / 19 / 7) and gap.n == N_PAIRS - 1
    assert gap.high - gap.low < 0.1, "not as wide as unpaired"


def test_held_is_of_the_prompt_and_of_what_is_added():
    some = rows("latents", 3).assign(n_others_kept=3, n_edited_believed=2)
    assert set(capacity.n_held(some)) == {5}
    assert set(capacity.n_held(some.assign(n_others_false=4))) == {1}


def test_who_believes_everything_holds_no_more_for_it():
    book = singles()
    of_latents = book.method == "latents"
    book.loc[of_latents, "n_edited_believed"] = book.n_edited
    book.loc[of_latents, "n_others_false"] = 5
    found = capacity.believes_more(edits_of(book), MOST)
    assert found.controls[2].name == "the blind walker"
    assert found.value.value == pytest.approx((7 + 4 - 5) / 7) == found.controls[2].value.value
    assert verdict(found) != "supported"
