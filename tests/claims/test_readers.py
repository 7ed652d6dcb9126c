"""C3c on made-up tables in which the truth is planted."""

import pytest
from planted import verdict
from planted_paths import reader_rows

from mazewm.claims import readers

HERE = "0.resid_post at c2"


def test_c3c_what_latents_write_is_read_like_the_token():
    rows = reader_rows(
        {
            "latents_16": 0.5,
            "site_latents_16": 0.95,
            "site_other_latents_16": 0.1,
            "site_frozen_decoder_16": 0.2,
            "random_direction": 0.4,
        },
        HERE,
    )
    found = readers.reads_alike(rows, HERE)
    assert (found.id, verdict(found)) == ("C3c", "supported")
    assert found.value.value == pytest.approx(0.95, abs=0.03) and "site_latents_16" in found.measure
    assert found.control.value.value == pytest.approx(0.4, abs=0.15)
    assert found.control.gap.n_clusters == 30, "pairs with equal connections count together"
    others = {"other_latents_16": 0.1, "random_direction": 0.2}
    as_well = reader_rows({"latents_16": 0.9, "frozen_decoder_16": 0.9} | others, HERE)
    assert verdict(readers.reads_alike(as_well, HERE)) == "not beyond the control"
    worse = reader_rows({"latents_16": 0.2, "frozen_decoder_16": 0.95} | others, HERE)
    assert verdict(readers.reads_alike(worse, HERE)) == "refuted"
    assert verdict(readers.reads_alike(rows, "2.resid_post at c2")) == "unmeasured"


def test_pairs_that_are_read_wrongly_do_not_count():
    rows = reader_rows({"latents_16": 0.9, "random_direction": 0.1}, HERE)
    wrong = rows.pair < 10
    rows.loc[wrong & (rows.written == "token") & (rows.heads == "none"), "metric"] = -1.0
    assert len(readers.Readers(rows, HERE).wide) == 50
    every = readers.Readers(rows.assign(metric=-1.0), HERE)
    assert len(every.wide) == 0
    assert verdict(readers.reads_alike(rows.assign(metric=-1.0), HERE)) == "unmeasured"


def test_the_table_of_readers():
    rows = reader_rows({"latents_16": 0.9, "latents_1": 0.5, "random_direction": 0.1}, HERE)
    table = readers.reader_shares(rows).set_index(["written", "heads"])
    assert table.value["token", "1.0"] == pytest.approx(0.25, abs=0.03)
    assert table.value["latents_16", "all"] == pytest.approx(1.0)
    assert table.value["latents_16", "agreement"] == pytest.approx(0.9, abs=0.05)
    assert ("token", "agreement") not in table.index
    assert readers.reader_shares(rows[:0]).empty
    assert readers.headline(["prompt", "latents_1", "latents_16"]) == "latents_16"
