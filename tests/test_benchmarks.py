"""What the benchmarks write down: ratios paired by round, the table, what is multiplied."""

import itertools
import json

import numpy as np
import pytest
import torch

from benchmarks import edited_rollouts, growth, machine, ours, pairing, report, sae_seconds
from mazewm.maze.tokens import ADJLIST_END, PATH_END, encode, prompt_length


@pytest.fixture
def rows():
    """Ours at 8 and 30 beside another's at 2 and 10, in two rounds."""
    line = pairing.Line("mazes", "make mazes", "mazes/s", "the same mazes")
    rates = {pairing.OURS: [8.0, 30.0], "numpy, slowly": [2.0, 10.0]}
    return pairing.rows(line, rates, share_of_limit=0.5)


def test_ratios_are_paired_by_round(rows):
    (row,) = rows
    assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (3.5, 3.0, 4.0)
    assert (row["ours"], row["theirs"]) == (19.0, 6.0)
    assert row["peer_version"].count(".") >= 2


def test_contenders_take_turns():
    seen = []
    contenders = {name: lambda name=name: seen.append(name) or 1.0 for name in "ab"}
    rates = pairing.race(contenders, n_rounds=3, seconds=1e-4)
    turns = [name for name, _ in itertools.groupby(seen)]
    assert "".join(turns) == "ab" * 4  # once before time counts
    assert [len(rates[name]) for name in "ab"] == [3, 3]


def test_rows_of_another_processor_and_of_other_benchmarks_stay(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    report.README.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    measured = [("old", "one", 1.0), ("new", "one", 2.0), ("new", "two", 3.0), ("new", "one", 4.0)]
    for kind, name, rate in measured:
        monkeypatch.setattr(machine, "kind", lambda kind=kind: kind)
        report.record(name, [rows[0] | {"ours": rate}])
    found = json.loads(report.RESULTS.read_text())
    kept = {kind: own["benchmarks"] for kind, own in found.items()}
    assert [row["ours"] for row in kept["old"]["one"]] == [1.0] and list(kept["old"]) == ["one"]
    assert [row["ours"] for row in kept["new"]["one"]] == [4.0]
    assert [row["ours"] for row in kept["new"]["two"]] == [3.0]
    text = report.README.read_text()
    assert text.startswith(f"before\n{report.BEGIN}\n\n### old")
    assert text.endswith(f"{report.END}\nafter\n")
    assert text.count("| mazes: make mazes |") == 3
    assert "**3.50** (3.00 to 4.00)" in text and "| 50% |" in text


def test_their_tokens_become_cells_as_our_rollouts_give_them():
    a = ours.VOCABULARY.first_cell
    written = [[a, a + 3, PATH_END, PATH_END], [a + 1, ADJLIST_END, a, a], [a, a, a, a + 2]]
    found = edited_rollouts.walked_cells(torch.tensor(written), width=5)
    assert found.tolist() == [[0, 3, -1, -1, -1], [1, -2, -1, -1, -1], [0, 0, 0, 2, -2]]


def test_questions_are_every_pair_of_a_maze():
    asked, mazes = ours.questions(3, n_cells=4), ours.mazes(3, n_cells=4)
    assert (asked.origin.shape, len(asked.prompts)) == ((3, 12), 36)
    assert len(asked.prompts.unique(dim=0)) == 36
    own = encode(mazes, np.random.default_rng(0)).prompt
    assert own.shape[1] == prompt_length(3)
    for maze in range(3):  # the one that the maze was drawn with is among its questions
        same = asked.prompts[12 * maze :][:12] == torch.from_numpy(own[maze])
        assert same.all(dim=1).sum() == 1
    assert (asked.prompts[:, asked.edited] >= ours.VOCABULARY.first_cell).all()


def test_growth_multiplies_one_size_and_nothing_else():
    base = growth.settings("data", 1)["scales"]["tiny"]
    data, width, sae = (growth.settings(axis, 4)["scales"]["tiny"] for axis in growth.AXES)
    assert data["transformer"] == base["transformer"]
    assert data["mazes"]["n_train"] == 4 * base["mazes"]["n_train"]
    changed = {key for key, value in data["training"].items() if value != base["training"][key]}
    assert changed == {"n_steps", "n_observed_mazes"}
    assert width == base | {"transformer": base["transformer"] | {"d_model": 128, "d_mlp": 256}}
    assert sae == base | {"sae": base["sae"] | {"widths": [4 * w for w in base["sae"]["widths"]]}}


def test_an_exponent_is_a_slope():
    points = [{"factor": f, "seconds": 3 * f**1.5} for f in (1.0, 2.0, 4.0)]
    assert growth.exponent(points, "seconds") == pytest.approx(1.5)


@pytest.fixture
def three_saes(monkeypatch):
    """Libraries whose SAEs are random and train at 1,000, 500 and 250 samples a second."""

    def library(rate):
        def train(data, width, seed, n_samples, lr, batch):
            w = torch.randn(data.x.shape[1], width, generator=torch.Generator().manual_seed(seed))
            return sae_seconds.Trained(
                n_samples / rate, lambda x: (x @ w).relu(), lambda z: z @ w.T / width
            )

        return train

    names = (pairing.OURS, "numpy", "torch")
    libraries = dict(zip(names, map(library, (1000, 500, 250)), strict=True))
    monkeypatch.setattr(sae_seconds, "LIBRARIES", libraries)
    monkeypatch.setattr(sae_seconds, "CHOSEN", {name: (0.01, 512) for name in names[1:]})
    monkeypatch.setattr(sae_seconds, "WIDTHS", (16,))
    monkeypatch.setattr(sae_seconds, "SEEDS", range(2))
    monkeypatch.setattr(sae_seconds, "account", lambda train_once: {"all": 1.0})


def test_saes_are_compared_after_equal_seconds(three_saes, rows):
    data = sae_seconds.made_up("test", n=500, n_held_out=200, d_model=8, n_concepts=20)
    found = sae_seconds.compare(data, "here")
    assert [row["unit"] for row in found] == [
        u for u in ("samples/s", "explained variance", "MCC") for _ in "ab"
    ]
    assert [row["ratio"] for row in found[:2]] == [2, 4]
    assert all(
        row["checked"].endswith("seconds: mazewm 2.00, numpy 2.00, torch 2.00") for row in found
    )
    assert {"account", *found[1]} == {*found[0]} == {"account", *rows[0]}


def test_saes_are_chosen_and_judged_on_different_tokens():
    kinds = [
        sae_seconds.made_up(split, n=50, n_held_out=40, d_model=8)
        for split in ("validation", "test")
    ]
    chosen, judged = ({row.tobytes() for row in data.held_out} for data in kinds)
    assert len(chosen) == len(judged) == 40 and not chosen & judged
    assert np.array_equal(kinds[0].train, kinds[1].train)
    assert not {*sae_seconds.TUNING_SEEDS} & {*sae_seconds.SEEDS}
