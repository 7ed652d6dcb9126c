"""Verdicts of made-up differences: every word of the vocabulary, and the correction of a table."""

import json
from dataclasses import replace

import pytest
from scipy import stats

from mazewm.claims.claim import VERDICTS, Control, claim, decided, depends, unmeasured
from mazewm.claims.statistics import NO_CONTRAST, NOTHING, Contrast, Interval, fixed
from mazewm.figures.style import VERDICTS as COLOURS
from stages import claims_table

VALUE = Interval(0.5, 0.4, 0.6, 10)


def gap(value, half=0.1, p=None):
    """A difference with its interval; p is that of a normal distribution unless it is given."""
    p = float(stats.norm.sf(1.96 * value / half)) if p is None else p
    return Contrast(value, value - half, value + half, 10, 7, p, 1 - p)


def against(*gaps, id="C9"):
    controls = [Control(f"control {n}", fixed(0.5 - one.value), one) for n, one in enumerate(gaps)]
    return claim(id, "it is so", "how much", VALUE, controls)


def verdict(*gaps):
    [one] = decided([against(*gaps)])
    return one.verdict


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([gap(0.3)], "supported"),
        ([gap(0.3), gap(0.05)], "undecided"),  # every control must be exceeded
        ([gap(0.3), gap(0.02, half=0.01)], "supported"),
        ([gap(-0.3)], "refuted"),
        ([gap(0.3), gap(-0.3)], "refuted"),  # one control is enough
        ([gap(0.0)], "undecided"),  # a tie, and a wide interval
        ([gap(0.0, half=0.04)], "not beyond the control"),
        ([gap(0.3), gap(0.0, half=0.04)], "not beyond the control"),
        ([gap(-0.02, half=0.06)], "not beyond the control"),
        ([gap(0.0, half=0.06)], "undecided"),
        ([gap(0.09)], "undecided"),
    ],
)
def test_the_rule(gaps, expected):
    assert verdict(*gaps) == expected


def test_the_strongest_control_is_reported_and_the_largest_p():
    found = against(gap(0.3, p=0.001), gap(0.1, half=0.05, p=0.02), gap(0.2, half=0.19, p=0.01))
    assert found.control.name == "control 2", "its lower end is the smallest"
    assert found.p_above == 0.02
    assert found.p_below == min(1, 3 * 0.98)


def test_each_of_several_controls_may_refute_and_pays_for_it():
    low = gap(-0.1, p=1 - 0.02)
    assert verdict(low) == "refuted"
    assert verdict(low, gap(0.3)) != "refuted", "2 * 0.02 is more than 2.5 %"


def test_holms_correction_is_over_the_measured_claims_of_a_table():
    some = [against(gap(0.1, p=p), id=f"C{n}") for n, p in enumerate((0.011, 0.004, 0.02))]
    nothing = [unmeasured(f"X{n}", "it is so", "how much", "no data") for n in range(9)]
    said = {one.id: one.verdict for one in decided([*nothing, *some])}
    # two-sided 0.008 of 0.05 / 3, 0.022 of 0.05 / 2, 0.04 of 0.05
    assert [said[f"C{n}"] for n in range(3)] == ["supported"] * 3
    some[0] = against(gap(0.1, p=0.014), id="C0")
    assert [one.verdict for one in decided(some)] == ["undecided", "supported", "undecided"]
    assert [one.id for one in decided([*some, *nothing])] == [*("C0", "C1", "C2"), *said][:12]
    assert decided([]) == []


def test_what_cannot_be_compared_is_unmeasured():
    no_control = claim("C9", "it is so", "how much", VALUE, [])
    no_value = claim("C9", "it is so", "how much", NOTHING, [Control("c", VALUE, gap(0.3))])
    no_gap = claim("C9", "it is so", "how much", VALUE, [Control("c", VALUE, NO_CONTRAST)])
    for one in (no_control, no_value, no_gap):
        assert one.verdict == "unmeasured" and one.reason
        assert decided([one]) == [one]
    assert no_gap.reason == "too little data to compare with c"
    written = no_gap.as_json()
    assert (written["n"], written["p"], written["control_name"]) == (0, 1, "")
    assert written["reason"] == no_gap.reason == no_gap.as_text()


def by(**conventions):
    [one] = decided([depends("C5", "it is so", "difference", conventions)])
    return one


def test_conventions_must_agree():
    assert by(raw=gap(0.3), net=gap(0.2)).verdict == "supported"
    assert by(raw=gap(-0.3), net=gap(-0.2)).verdict == "refuted"
    assert by(raw=gap(0.3), net=gap(-0.2)).verdict == "depends"
    assert by(raw=gap(0.3), net=gap(0.05)).verdict == "undecided"
    assert by(raw=gap(0.3), net=gap(0.0, half=0.01)).verdict == "undecided"
    assert by(raw=gap(-0.3), net=gap(0.05)).verdict == "undecided", "one is not enough to refute"
    assert by(raw=gap(0.3), net=NO_CONTRAST).verdict == "unmeasured"
    assert by().verdict == "unmeasured"


def test_the_value_of_conventions_is_the_least():
    found = by(raw=gap(0.3), net=gap(0.2))
    assert found.value == gap(0.2).interval and found.control.value.value == 0
    assert found.control.name.endswith("net")
    assert "raw 0.300 [0.200, 0.400]; net 0.200 [0.100, 0.300]" in found.measure


def test_a_claim_as_json():
    control = Control("chance", Interval(0.05, 0.02, 0.08, 9), gap(1 / 3, half=0.2, p=0.001))
    one = claim("C9", "it is so", "how much", Interval(1 / 3, 0.1, 0.6, 7), [control])
    [one] = decided([one])
    assert one.id == "C9" and one.as_json() == {
        "statement": "it is so",
        "measure": "how much",
        "value": 0.333333,
        "low": 0.1,
        "high": 0.6,
        "control": 0.05,
        "control_low": 0.02,
        "control_high": 0.08,
        "control_name": "chance",
        "gap": 0.333333,
        "gap_low": 0.133333,
        "gap_high": 0.533333,
        "p": 0.001,
        "n": 7,
        "n_clusters": 7,
        "verdict": "supported",
        "reason": "",
    }
    assert one.as_text() == (
        "how much: 0.333 [0.100, 0.600], chance 0.050 [0.020, 0.080], "
        "difference 0.333 [0.133, 0.533]"
    )
    level = replace(one, controls=(control._replace(value=fixed(0.05)),))
    assert "chance 0.050, difference" in level.as_text()


def test_every_verdict_has_a_colour():
    assert set(VERDICTS) == set(COLOURS) == set(claims_table.COLOURS)
    for colours in (COLOURS, claims_table.COLOURS):
        assert len(set(colours.values())) == len(VERDICTS)


def test_the_table_of_claims_is_printed(tmp_path, monkeypatch, capsys):
    nothing = unmeasured("C8d", "it is used", "how often", "no fork to steer at")
    some = {one.id: one.as_json() for one in decided([against(gap(0.3)), nothing])}
    claims = {"runs": {"rotary-all-0": some}, "encodings": {}, "comparison": {}}
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "claims.json").write_text(json.dumps(claims))
    (tmp_path / "params.yaml").write_text("results: metrics\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    claims_table.main()
    lines = capsys.readouterr().out.splitlines()
    first, second = (next(line for line in lines if id in line) for id in ("C9", "C8d"))
    assert "supported" in first and "0.40 to 0.60" in first and "0.30, 0.20 to 0.40" in first
    assert "unmeasured" in second and "no fork to steer at" in second
