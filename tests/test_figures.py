"""Every figure draws from small made-up tables, without a warning, and the same bytes each time."""

from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from planted import (
    READOUTS,
    SITE,
    attention_rows,
    consistency_rows,
    consolidation_rows,
    feature_rows,
    knockout_rows,
    run_tables,
)

from mazewm.consolidation import PAPER_SITE
from mazewm.figures import circuits, claims, comparison, runs
from mazewm.figures.style import save
from mazewm.scores import comparison as comparison_scores
from mazewm.scores.comparison import Compared
from mazewm.scores.pooling import code_table
from mazewm.scores.run import score_run

HERE, PAPER = str(SITE), str(PAPER_SITE)
PNG = b"\x89PNG\r\n\x1a\n"


pytestmark = pytest.mark.usefixtures("style")


def saved(figure, path):
    save(figure, path)
    plt.close("all")
    content = path.read_bytes()
    assert content.startswith(PNG) and len(content) > 3000
    width = int.from_bytes(content[16:20], "big")
    return content, width


def ov_norms():
    rng = np.random.default_rng(0)
    return pd.DataFrame([(layer, head, cell, rng.random()) for layer in (0, 1) for head in (0, 1) for cell in range(9)],
                        columns=["layer", "head", "cell", "norm"])  # fmt: skip


def cosines(path="heads+embedding"):
    rng = np.random.default_rng(0)
    rows = [(HERE, path, e, other, rng.uniform(-1, 1)) for e in range(12) for other in range(12)]
    return pd.DataFrame(rows, columns=["site", "path", "connection", "latent_of", "cosine"])


def history():
    rows = [(name, 5 * n, n, 2 / (1 + n), n / 10) for name in ("learned-0", "rotary-0") for n in range(2)]
    return pd.DataFrame(rows, columns=["run", "step", "n_mazes", "loss_path", "solved"])


def writing():
    rows = [(name, layer, c, dose, 3, 7) for name in ("learned-0", "rotary-0") for layer in (0, 1) for c in ("<-->", "c2", ";")
            for dose in (1.0, 2.0)]  # fmt: skip
    return pd.DataFrame(rows, columns=["run", "layer", "token_class", "dose", "n_follow", "n"])


def formation():
    rows = [(name, step, layer, c, 0.3 + step / 10) for name in ("learned-0", "rotary-0") for step in (0, 5) for layer in (0, 1)
            for c in ("c1", "<-->", "c2", ";")]  # fmt: skip
    return pd.DataFrame(rows, columns=["run", "step", "layer", "token_class", "probe_accuracy"]).assign(n_mazes=53)


def of_both_runs(rows):
    return pd.concat([rows.assign(run=name) for name in ("learned-0", "rotary-0")], ignore_index=True)


@cache
def scored():
    return score_run(run_tables(knockouts=knockout_rows({})), 0.5)


def claims_table():
    return of_both_runs(pd.DataFrame([one.as_json() | {"id": one.id} for one in scored().claims]))


@cache
def compared(names=("learned-0", "rotary-0")):
    """What ``compare`` makes of runs that are alike."""
    one = scored()
    curves = {name: pd.concat([rows.assign(run=run) for run in names], ignore_index=True) for name, rows in one.curves.items()}
    curves |= {"history": history(), "formation": formation(), "writing": writing()}
    curves = {name: rows[rows.run.isin(names)] for name, rows in curves.items()}
    own = {claim.id: claim.as_json() for claim in one.claims}
    metrics = {(name.split("-")[0], 0): one.metrics for name in names}
    effects = comparison_scores.effects_table({name: one.metrics for name in names})
    return Compared({}, {"runs": dict.fromkeys(names, own)}, curves, effects, 0.5, code_table(metrics))


HEADS = {(0, 0): 0.9, (0, 1): 0.1, (1, 0): 0.2, (1, 1): 0.2}
KNOCKED = {"0.0": (0.9, 0.1), "binding": (0.9, 0.1), "others": (0.2, 0.0)}
FIGURES = {
    "own_mass": lambda: circuits.own_mass(attention_rows(HEADS)),
    "ov_norms": lambda: circuits.ov_norms(ov_norms()),
    "consistency": lambda: circuits.consistency(consistency_rows({"binding": 0.9, "other": 0.2}), cosines(), HERE),
    "consistency without heads": lambda: circuits.consistency(consistency_rows({"other": 0.2}), cosines().head(0), HERE),
    "knockouts": lambda: circuits.knockouts(pd.concat([knockout_rows(KNOCKED), knockout_rows(KNOCKED, PAPER)]), [HERE, PAPER]),
    "knockouts at one site": lambda: circuits.knockouts(knockout_rows(KNOCKED), [HERE, PAPER]),
    "C2": lambda: claims.own_mass(compared().curves["attention"], 0.5),
    "C3": lambda: claims.knock_outs(of_both_runs(knockout_rows(KNOCKED))),
    "C4": lambda: claims.edits(compared().effects),
    "C5": lambda: claims.asymmetry(claims_table(), compared().effects),
    "C7": lambda: claims.code(compared().code),
    "writing": lambda: runs.writing(writing()),
    "training": lambda: runs.training(history()),
    "consolidation": lambda: runs.consolidation(of_both_runs(consolidation_rows())),
    "formation": lambda: runs.formation(formation(), history()),
    "readouts": lambda: runs.readouts(of_both_runs(feature_rows(READOUTS))),
    "claims": lambda: runs.claims(claims_table()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn(tmp_path, name):
    _, width = saved(FIGURES[name](), tmp_path / "figure.png")
    assert 600 <= width <= 1200


@pytest.mark.parametrize("name", ["knockouts", "readouts"])
def test_the_same_figure_has_the_same_bytes(tmp_path, name):
    """Those two draw intervals by resampling."""
    assert saved(FIGURES[name](), tmp_path / "one.png") == saved(FIGURES[name](), tmp_path / "two.png")


def test_another_figure_has_other_bytes(tmp_path):
    one = saved(circuits.own_mass(attention_rows(HEADS)), tmp_path / "one.png")
    assert one != saved(circuits.own_mass(attention_rows(HEADS | {(0, 0): 0.8})), tmp_path / "two.png")


def test_saving_makes_the_folder_and_closes_the_figure(tmp_path):
    figure, _ = plt.subplots()
    save(figure, tmp_path / "deep" / "figure.png")
    assert (tmp_path / "deep" / "figure.png").exists()
    assert figure.number not in plt.get_fignums()


def test_heads_that_beat_both_controls_are_bold():
    figure = circuits.own_mass(attention_rows(HEADS))
    bold = {(text.get_position(), axis.get_title()) for axis in figure.axes for text in axis.texts if text.get_fontweight() == "bold"}
    assert bold == {((0, 0), f"at  {c}") for c in ("<-->", "c2", ";")}
    plt.close("all")


def test_own_mass_stands_beside_its_controls_and_the_threshold():
    figure = claims.own_mass(attention_rows(HEADS).drop(columns=["measure", "bin"]).assign(run="learned-0"), 0.4)
    axis = next(axis for axis in figure.axes if axis.get_title() == "learned-0, at  c2")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0.0", "0.1", "1.0", "1.1"]
    own = axis.containers[0].lines[0].get_ydata()
    assert np.allclose(own, list(HEADS.values()))
    assert 0.4 in [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"]
    plt.close("all")


def test_every_run_has_its_own_heads_beside_its_own_points():
    few = knockout_rows({"0.0": (0.2, 0.0), "all": (1.0, 0.0)}).assign(run="a")
    many = knockout_rows({"0.0": (0.5, 0.0), "0.1": (0.6, 0.0), "all": (0.7, 0.0)}).assign(run="b")
    figure = claims.knock_outs(pd.concat([few, many]))
    for axis, names, values in zip(figure.axes, (["0.0", "all"], ["0.0", "0.1", "all"]), ([0.2, 1.0], [0.5, 0.6, 0.7]), strict=True):
        assert [label.get_text() for label in axis.get_yticklabels()] == names
        assert np.allclose(axis.containers[0].lines[0].get_xdata(), values)
    plt.close("all")


def test_edits_show_what_each_run_reports():
    figure = claims.edits(compared().effects)
    assert [axis.get_title().split()[0] for axis in figure.axes] == ["add", "remove", "move"]
    shown = {container.get_label(): container.lines[0].get_xdata() for container in figure.axes[0].containers}
    assert np.allclose(shown["latents of e"], 17 / 23) and np.allclose(shown["the tokens edited"], 5 / 23)
    plt.close("all")


def test_a_dot_for_every_seed_of_each_measure_of_the_code():
    measures = pd.DataFrame({"id": "C7a", "measure": "m", "encoding": ["a", "a", "b"], "seed": [0, 1, 0], "value": [1.0, 2.0, 4.0]})
    [axis] = claims.code(measures).axes
    dots = np.concatenate([points.get_offsets() for points in axis.collections])
    assert sorted(dots[:, 1].tolist()) == [1.0, 2.0, 4.0]
    plt.close("all")


def test_claims_without_examples_are_left_blank():
    figure = runs.claims(claims_table())
    [axis] = figure.axes
    labels = [text.get_text() for text in axis.get_yticklabels()]
    assert [label.split()[0] for label in labels][:5] == ["C1", "C2", "C3a", "C3b", "C4a"]
    values = {container.get_label(): container.lines[0].get_ydata() for container in axis.containers}
    assert set(values) == {"learned-0", "rotary-0"} and all(len(at) == len(labels) - 1 for at in values.values())
    assert not any(round(float(y)) == labels.index(labels[3]) for at in values.values() for y in at)
    plt.close("all")


@pytest.fixture
def drawn(monkeypatch):
    """The names of what would have been written; drawing it out is the other tests' part."""
    names = set()

    def note(figure, path):
        assert figure.axes
        names.add(path.relative_to("pictures").as_posix())
        plt.close("all")

    monkeypatch.setattr(comparison, "save", note)
    return names


@pytest.mark.parametrize("names", [("learned-0", "rotary-0"), ("learned-0",)], ids=["two", "one"])
def test_all_pictures_of_runs(drawn, names):
    """One run alone can be drawn too."""
    comparison.draw_comparison(Path("pictures"), compared(names))
    assert {f"C{n}" for n in (1, 2, 3, 4, 5, 6, 7)} | {"C8abc", "C8d"} <= {name.split("_")[0] for name in drawn}
    assert {"training.png", "formation.png", "patching.png", "writing.png", "frontier.png", "taxonomy.png", "several.png"} <= drawn
