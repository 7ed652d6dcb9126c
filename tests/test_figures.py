"""Every figure draws from small made-up tables, without a warning, and the same bytes each time."""

from functools import cache
from pathlib import Path

import matplotlib
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
    ledger,
    outcomes,
    run_tables,
    trees,
)

from mazewm.consolidation import PAPER_SITE
from mazewm.figures import circuits, comparison, interventions, run, runs
from mazewm.figures.style import save, use_style
from mazewm.scores import statistics
from mazewm.scores.comparison import COMPARISON, Compared
from mazewm.scores.effects import dose_curve
from mazewm.scores.run import score_run

HERE, PAPER = str(SITE), str(PAPER_SITE)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module", autouse=True)
def style():
    matplotlib.use("Agg")
    with matplotlib.rc_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "N_RESAMPLES", 199)
        use_style()
        yield
    plt.close("all")


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
    rows = [(name, n, 2 / (1 + n), n / 10) for name in ("learned-0", "rotary-0") for n in range(4)]
    return pd.DataFrame(rows, columns=["run", "n_mazes", "loss_path", "solved"])


def formation():
    rows = [(name, step, layer, c, 0.3 + step / 10) for name in ("learned-0", "rotary-0") for step in (0, 5) for layer in (0, 1)
            for c in ("c1", "<-->", "c2", ";")]  # fmt: skip
    return pd.DataFrame(rows, columns=["run", "step", "layer", "token_class", "probe_accuracy"])


def of_both_runs(rows):
    return pd.concat([rows.assign(run=name) for name in ("learned-0", "rotary-0")], ignore_index=True)


@cache
def scored():
    return score_run(run_tables(knockouts=knockout_rows({})), 0.5)


def claims_table():
    claims = scored().claims
    return of_both_runs(pd.DataFrame([one.as_json() | {"id": one.id} for one in claims]))


def example_rows(n):
    follows = [nth % 3 == 0 for nth in range(n)]
    return outcomes("latents", follows, keeps=[nth % 3 == 1 for nth in range(n)])


HEADS = {(0, 0): 0.9, (0, 1): 0.1, (1, 0): 0.2, (1, 1): 0.2}
KNOCKED = {"0.0": (0.9, 0.1), "binding": (0.9, 0.1), "others": (0.2, 0.0)}
FIGURES = {
    "own_mass": lambda: circuits.own_mass(attention_rows(HEADS)),
    "ov_norms": lambda: circuits.ov_norms(ov_norms()),
    "consistency": lambda: circuits.consistency(consistency_rows({"binding": 0.9, "other": 0.2}), cosines(), HERE),
    "consistency without heads": lambda: circuits.consistency(consistency_rows({"other": 0.2}), cosines().head(0), HERE),
    "knockouts": lambda: circuits.knockouts(pd.concat([knockout_rows(KNOCKED), knockout_rows(KNOCKED, PAPER)]), [HERE, PAPER]),
    "knockouts at one site": lambda: circuits.knockouts(knockout_rows(KNOCKED), [HERE, PAPER]),
    "dose_curves": lambda: interventions.dose_curves(dose_curve(ledger()), HERE),
    "example_mazes": lambda: interventions.example_mazes(trees(29), example_rows(13), "a caption"),
    "three example_mazes": lambda: interventions.example_mazes(trees(29), example_rows(3), "a caption"),
    "no example_mazes": lambda: interventions.example_mazes(trees(29), example_rows(3).head(0), "a caption"),
    "training": lambda: runs.training(history()),
    "consolidation": lambda: runs.consolidation(of_both_runs(consolidation_rows())),
    "formation": lambda: runs.formation(formation()),
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


def test_dose_curves_have_a_line_for_each_method():
    figure = interventions.dose_curves(dose_curve(ledger()), HERE)
    titles = {axis.get_title() for axis in figure.axes}
    assert titles == {"add, at all (n = 23)", "remove, at own (n = 23)"}
    added = next(axis for axis in figure.axes if axis.get_title().startswith("add"))
    lines = {line.get_label(): line.get_ydata() for line in added.lines}
    assert set(lines) == {
        "latents, 1 of e",
        "mean difference",
        "random latents",
        "random direction",
        "other connection",
        "the tokens edited",
    }
    assert np.allclose(lines["latents, 1 of e"], [0, 17 / 23]) and np.allclose(lines["the tokens edited"], 5 / 23)
    plt.close("all")


def test_an_example_shows_what_was_walked():
    """Axis 0 follows the edit, axis 1 keeps its path, axis 2 does neither."""
    figure = interventions.example_mazes(trees(29), example_rows(3), "a caption")
    assert [axis.get_title() for axis in figure.axes[:4]] == ["follows", "keeps", "other", ""]
    walked = [line for line in figure.axes[0].lines if line.get_linewidth() == 2.2]
    assert len(walked) == 1 and np.allclose(walked[0].get_xdata(), np.array([0, 0, 2]) + 0.07)
    plt.close("all")


def test_claims_without_examples_are_left_blank():
    figure = runs.claims(claims_table())
    [axis] = figure.axes
    labels = [text.get_text() for text in axis.get_yticklabels()]
    assert [label.split()[0] for label in labels] == ["C1", "C2", "C3a", "C3b", "C4a", "C4b", "C5"]
    values = {container.get_label(): container.lines[0].get_ydata() for container in axis.containers}
    assert set(values) == {"learned-0", "rotary-0"} and all(len(at) == 6 for at in values.values())
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

    for module in (run, comparison):
        monkeypatch.setattr(module, "save", note)
    return names


def test_all_pictures_of_a_run(drawn):
    """draw_run finds what it needs in what the stages before it write."""
    tables = run_tables()
    traced = {
        "attention": tables.attention,
        "ov_norms": ov_norms(),
        "ov_consistency": tables.ov_consistency,
        "ov_cosines": cosines(),
        "knockouts": tables.knockouts,
    }
    run.draw_run(Path("pictures"), tables, scored().dose, traced, trees(29))
    names = {"own_mass", "ov_norms", "ov_consistency", "knockouts", "dose_curves", "example_mazes"}
    assert drawn == {f"{name}.png" for name in names}


@pytest.mark.parametrize("names", [("learned-0", "rotary-0"), ("learned-0",)], ids=["two", "one"])
def test_all_pictures_of_runs(drawn, names):
    """One run alone can be drawn too."""
    own = {one.id: one.as_json() for one in scored().claims}
    claims = {name: own for name in names} | {COMPARISON: {"C7": own["C5"]}}
    curves = {"history": history(), "formation": formation(), "consolidation": of_both_runs(consolidation_rows())}
    curves = {name: rows[rows.run.isin(names)] for name, rows in (curves | {"features": of_both_runs(feature_rows(READOUTS))}).items()}
    comparison.draw_comparison(Path("pictures"), Compared({}, claims, curves))
    assert drawn == {f"{name}.png" for name in ("training", "consolidation", "formation", "readouts", "claims")}
