"""SAEs of several architectures in one table, each measure by hand."""

import pandas as pd
import pytest
from planted import ARCHITECTURES, SITE, run_tables

from mazewm.claims.architectures import architectures
from mazewm.claims.verdicts import encodes_connections

TABLES = run_tables()
PLACE = str(SITE.place)


def table(**changes):
    parts = {
        "saes": TABLES.saes,
        "descriptions": TABLES.descriptions,
        "singles": TABLES.singles,
        "boards": TABLES.boards,
    }
    return architectures(**(parts | changes)).set_index("architecture")


def test_the_studys_first_and_the_control_last():
    found = table()
    assert list(found.index) == ["topk", *ARCHITECTURES, "frozen_decoder"]
    assert found.is_study.tolist() == [True, False, False, False, False]
    assert found.n_draws.tolist() == [3, 1, 1, 1, 3]
    assert found.explained_variance.to_dict() == {"topk": 0.9, "frozen_decoder": 0.5} | (
        ARCHITECTURES
    ), "of all tokens, and of the first draw"
    assert found.loc["relu", "sparsity"] == 0.3 and (found.width == 16).all()


def test_the_mean_over_draws_and_the_best_draw_of_the_control():
    singles, found = TABLES.singles, table()
    by_draw = singles.groupby(["readout", "draw"]).mcc.mean()
    assert found.mcc["topk"] == pytest.approx(by_draw["latents"].mean())
    assert found.mcc["frozen_decoder"] == pytest.approx(by_draw["frozen_decoder"].max())
    for readout, name in (("latents", "topk"), ("frozen_decoder",) * 2, ("relu",) * 2):
        ends = found.loc[name, ["lowest", "highest"]].tolist()
        assert ends == pytest.approx([by_draw[readout].min(), by_draw[readout].max()])
    assert (found.mcc_low < found.mcc).all() and (found.mcc < found.mcc_high).all()


def test_the_gap_of_the_studys_is_that_of_c1_to_random_directions():
    controls = {one.name: one for one in encodes_connections(TABLES.singles).controls}
    expected, found = controls["best of 3 draws of frozen decoder"].gap.interval, table()
    row = found.loc["topk", ["gap", "gap_low", "gap_high"]].tolist()
    assert row == pytest.approx([expected.value, expected.low, expected.high])
    assert found.gap.isna().tolist() == [False] * 4 + [True], "the control has none to itself"


def test_other_architectures_change_nothing_of_c1():
    without = TABLES.singles[~TABLES.singles.readout.isin(list(ARCHITECTURES))]
    assert encodes_connections(without) == encodes_connections(TABLES.singles)


def test_boards_are_means_over_draws_and_the_controls_best():
    boards = TABLES.boards.copy()
    for readout in ("latents", "frozen_decoder"):
        boards.loc[boards.readout == readout, "f1"] = [0.2, 0.7, 0.3]
        boards.loc[boards.readout == readout, "coverage"] = [0.9, 0.1, 0.5]
    found = table(boards=boards)
    assert found.loc["topk", ["board_f1", "coverage"]].tolist() == pytest.approx([0.4, 0.5])
    assert found.loc["frozen_decoder", ["board_f1", "coverage"]].tolist() == [0.7, 0.9]


def test_a_connection_that_one_draw_lacks():
    """Test tokens encode it, but not in this draw's table: its mean is that of the others."""
    singles = TABLES.singles
    lacks = (singles.readout == "latents") & (singles.draw == 2) & (singles.connection == 1)
    rest = pd.DataFrame(singles[~lacks])
    assert table(singles=rest).n["topk"] == table().n["topk"]
