"""The table of single connections, from made-up tables."""

import numpy as np
import pytest
from planted import READOUTS, consistency_rows, feature_rows, single_rows
from planted_edits import WRITING, ledger, pairs

from mazewm.claims.connections import by_connection
from mazewm.claims.edits import Edits


def test_every_connection_by_hand():
    book = ledger(add={("latents", 1): (0.6, 0.1)}, remove={("latents", 1): (0.9, 0.0)})
    edits = Edits(book, pairs(book), WRITING)
    singles = single_rows({"latents": 0.9, "neurons": 0.1})
    found = by_connection(
        feature_rows(READOUTS), singles, consistency_rows({"binding": 0.7, "other": 0.1}), edits
    ).set_index("connection")
    test = book[(book.split == "test") & (book.connection >= 0)]
    assert found.best_latent_mcc.mean() == pytest.approx(0.9, abs=0.02)
    assert found.cosine_written.dropna().eq(0.7).all() and len(found) >= 12
    for kind in ("add", "remove"):
        edited = sorted(test[test.kind == kind].connection.unique())
        assert found.index[found[f"{kind}_one_n"].notna()].tolist() == edited
        setting = edits.setting(kind, "latents", 1)
        rows = edits.rows(setting)
        for e in edited:
            mine = rows[rows.connection == e]
            assert found[f"{kind}_one_hit"][e] == mine.n_hit.sum() / mine.n_affected.sum()
            assert found[f"{kind}_one_n"][e] == mine.n_affected.sum()
    mean = np.average(found.add_one_hit.dropna(), weights=found.add_one_n.dropna())
    assert mean == pytest.approx(0.6, abs=0.05)
    assert found.add_prompt_hit.mean() > found.add_one_hit.mean()


def test_what_was_not_measured_is_empty():
    book = ledger()
    nothing = consistency_rows({"other": 0.1})
    edits = Edits(book, pairs(book), WRITING)
    found = by_connection(feature_rows(READOUTS), single_rows({"latents": 0.9}), nothing, edits)
    assert found.cosine_written.isna().all() and found.best_latent_mcc.notna().all()
