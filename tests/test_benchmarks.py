"""What the benchmarks write down: ratios paired by round, the table, what is multiplied. No time is tested."""

import json

import pytest

from benchmarks import growth, machine, pairing, report


@pytest.fixture
def rows():
    """Ours at 8 and 30 beside another's at 2 and 10, in two rounds."""
    line = pairing.Line("mazes", "make mazes", "mazes/s", "the same mazes")
    return pairing.rows(line, {pairing.OURS: [8.0, 30.0], "numpy, slowly": [2.0, 10.0]}, share_of_limit=0.5)


def test_ratios_are_paired_by_round(rows):
    (row,) = rows
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (3.5, 3.0, 4.0)
    assert (row["ours"], row["theirs"]) == (19.0, 6.0)
    assert row["peer_version"].count(".") >= 2


def test_contenders_take_turns():
    seen = []
    contenders = {name: lambda name=name: seen.append(name) or 1.0 for name in "ab"}
    rates = pairing.race(contenders, n_rounds=3, seconds=1e-4)
    turns = [name for before, name in zip(" " + "".join(seen), seen, strict=False) if name != before]
    assert "".join(turns) == "ab" * 4  # once before time counts
    assert [len(rates[name]) for name in "ab"] == [3, 3]


def test_rows_of_another_processor_and_of_other_benchmarks_stay(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    report.README.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    for kind, name, ours in (("old", "one", 1.0), ("new", "one", 2.0), ("new", "two", 3.0), ("new", "one", 4.0)):
        monkeypatch.setattr(machine, "kind", lambda kind=kind: kind)
        report.record(name, [rows[0] | {"ours": ours}])
    found = json.loads(report.RESULTS.read_text())
    assert {kind: {n: r[0]["ours"] for n, r in own["benchmarks"].items()} for kind, own in found.items()} == {
        "old": {"one": 1.0},
        "new": {"one": 4.0, "two": 3.0},
    }
    text = report.README.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n") and text.endswith(f"{report.END}\nafter\n") and "old\n" not in text.split("###")[0]
    assert text.count("| mazes: make mazes |") == 3 and "**3.50** (3.00 to 4.00)" in text and "| 50% |" in text


def test_growth_multiplies_one_size_and_nothing_else():
    base = growth.settings("data", 1)["scales"]["tiny"]
    data, width, sae = (growth.settings(axis, 4)["scales"]["tiny"] for axis in growth.AXES)
    assert data["transformer"] == base["transformer"] and data["mazes"]["n_train"] == 4 * base["mazes"]["n_train"]
    assert data["training"] == base["training"] | {key: 4 * base["training"][key] for key in ("n_steps", "n_observed_mazes")}
    assert width == base | {"transformer": base["transformer"] | {"d_model": 128, "d_mlp": 256}}
    assert sae == base | {"sae": base["sae"] | {"widths": [4 * w for w in base["sae"]["widths"]]}}


def test_growth_has_a_whole_command_for_every_stage():
    found = growth.commands(growth.settings("data", 1))
    assert "train_sae" in found
    assert all(command.startswith("python -m stages.") and "$" not in command for command in found.values())


def test_an_exponent_is_a_slope():
    points = [{"factor": f, "seconds": 3 * f**1.5} for f in (1.0, 2.0, 4.0)]
    assert growth.exponent(points, "seconds") == pytest.approx(1.5)
