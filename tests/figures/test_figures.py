"""Every figure draws from small made-up tables, without a warning, and the same bytes each time."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figures.made_up import (
    HEADS,
    KNOCKED,
    RUNS,
    claims_table,
    compared,
    cosines,
    curve,
    formation,
    history,
    of_both_runs,
    ov_norms,
    scored,
    writing,
)
from PIL import Image
from planted import (
    READOUTS,
    SITE,
    attention_rows,
    consistency_rows,
    consolidation_rows,
    feature_rows,
    knockout_rows,
)
from planted_runs import numbers

from mazewm.figures import (
    architectures,
    capacity,
    circuits,
    claims,
    code,
    comparison,
    connections,
    edits,
    frame,
    paths,
    readers,
    runs,
    verdicts,
    world,
)
from mazewm.figures.style import DPI, WIDTH, of_few_colours, save
from mazewm.localize.locations import PAPER_LOCATION
from mazewm.maze.lattice import lattice

HERE, PAPER = str(SITE), str(PAPER_LOCATION)
PNG = b"\x89PNG\r\n\x1a\n"


pytestmark = pytest.mark.usefixtures("style")


def saved(figure, path):
    save(figure, path)
    content = path.read_bytes()
    assert content.startswith(PNG) and len(content) > 3000
    width = int.from_bytes(content[16:20], "big")
    return content, width


FIGURES = {
    "own_mass": lambda: circuits.own_mass(attention_rows(HEADS)),
    "ov_norms": lambda: circuits.ov_norms(ov_norms()),
    "consistency": lambda: circuits.consistency(
        consistency_rows({"binding": 0.9, "other": 0.2}), cosines(), HERE
    ),
    "consistency without heads": lambda: circuits.consistency(
        consistency_rows({"other": 0.2}), cosines().head(0), HERE
    ),
    "knockouts": lambda: circuits.knockouts(
        pd.concat([knockout_rows(KNOCKED), knockout_rows(KNOCKED, PAPER)]), [HERE, PAPER]
    ),
    "knockouts at one site": lambda: circuits.knockouts(knockout_rows(KNOCKED), [HERE, PAPER]),
    "W1": lambda: world.world(
        *(compared().curves[name] for name in ("answers", "beliefs", "spellings"))
    ),
    "W1 without a solved maze": lambda: world.world(
        compared().curves["answers"],
        compared().curves["beliefs"],
        compared().curves["spellings"].head(0),
    ),
    "W1 robustness": lambda: world.robustness(
        compared().curves["detours"], compared().curves["states"]
    ),
    "C2": lambda: claims.own_mass(compared().curves["attention"], 0.5),
    "C3": lambda: claims.knock_outs(of_both_runs(knockout_rows(KNOCKED))),
    "C4": lambda: edits.edits(curve("edits")),
    "C5": lambda: edits.asymmetry(curve("doses")),
    "C6": lambda: capacity.capacity(curve("corridors"), curve("held")),
    "edits by dose": lambda: edits.by_dose(curve("doses")),
    "C7": lambda: code.code(compared().code),
    "C7 of nothing": lambda: code.code(compared().code.head(0)),
    "C7 geometry": lambda: code.geometry(compared().similarities, compared().code),
    "C7 geometry of one run": lambda: code.geometry(
        compared().similarities.head(0), compared().code.head(1)
    ),
    "C10": lambda: code.objectives(compared().code),
    "C10 of one objective": lambda: code.objectives(numbers()),
    "C10 of nothing": lambda: code.objectives(compared().code.head(0)),
    "writing": lambda: runs.writing(writing()),
    "training": lambda: runs.training(history()),
    "consolidation": lambda: runs.consolidation(of_both_runs(consolidation_rows())),
    "formation": lambda: runs.formation(formation(), history()),
    "architectures": lambda: architectures.architectures(curve("architectures")),
    "architectures of one run": lambda: architectures.architectures(
        curve("architectures", RUNS[:1])
    ),
    "readouts": lambda: claims.readouts(curve("singles"), of_both_runs(feature_rows(READOUTS))),
    "C2 binding": lambda: paths.binding(curve("binding")),
    "C2 path": lambda: paths.graph(curve("edges")),
    "connections": lambda: connections.connections(
        scored().curves["connections"], lattice(3), "learned-0"
    ),
    "no connections": lambda: connections.connections(
        scored().curves["connections"].head(0), lattice(3), "learned-0"
    ),
    "C2 path of no pair": lambda: paths.graph(curve("edges").head(0)),
    "C2 frame": lambda: frame.frame(curve("whole"), curve("frame")),
    "C3 readers": lambda: readers.readers(curve("readers")),
    "C3 predictions": lambda: readers.predictions(curve("predictions")),
    "C3 predictions of nothing": lambda: readers.predictions(curve("predictions").head(0)),
    "C3 readers of no pair": lambda: readers.readers(curve("readers").head(0)),
    "C2 frame of no maze": lambda: frame.frame(curve("whole").head(0), curve("frame").head(0)),
    "C2 binding of no head": lambda: paths.binding(curve("binding").head(0)),
    "claims": lambda: verdicts.claims(claims_table()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_and_can_be_read(tmp_path, name, unreadable):
    figure = FIGURES[name]()
    _, width = saved(figure, tmp_path / "figure.png")
    assert width == WIDTH * DPI
    assert not unreadable(figure)


def test_unreadable_text_is_noticed(unreadable):
    figure, axis = plt.subplots(figsize=(4, 3))
    axis.axis("off")
    axis.text(0.5, 0.5, "one")
    axis.text(0.5, 0.51, "other", fontsize=5)
    axis.text(0.9, 0.1, "beyond the edge of the figure")
    said = " ".join(unreadable(figure))
    assert "'other' is of 5" in said and "'beyond the edge of the figure' is cut off" in said
    assert "'one' and 'other' are printed over each other" in said


def test_few_colours_look_like_many():
    """As many shades as no palette holds: none is off by more than the eye sees."""
    ramp = np.linspace(0, 255, 600).astype(np.uint8)
    full = np.stack([np.tile(ramp, (60, 1)), np.full((60, 600), 80, np.uint8),
                     np.tile(ramp[::-1], (60, 1))], axis=-1)  # fmt: skip
    few = np.asarray(of_few_colours(Image.fromarray(full)).convert("RGB"))
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(few.astype(int) - full).max() <= 16


@pytest.mark.parametrize("name", ["knockouts", "readouts"])
def test_the_same_figure_has_the_same_bytes(tmp_path, name):
    """Those two draw intervals by resampling."""
    assert saved(FIGURES[name](), tmp_path / "one.png") == saved(
        FIGURES[name](), tmp_path / "two.png"
    )


def test_another_figure_has_other_bytes(tmp_path):
    one = saved(circuits.own_mass(attention_rows(HEADS)), tmp_path / "one.png")
    assert one != saved(
        circuits.own_mass(attention_rows(HEADS | {(0, 0): 0.8})), tmp_path / "two.png"
    )


def test_saving_makes_the_folder_and_closes_the_figure(tmp_path):
    figure, _ = plt.subplots()
    save(figure, tmp_path / "deep" / "figure.png")
    assert (tmp_path / "deep" / "figure.png").exists()
    assert figure.number not in plt.get_fignums()


def test_heads_that_beat_both_controls_are_bold():
    figure = circuits.own_mass(attention_rows(HEADS))
    bold = {
        (text.get_position(), axis.get_title())
        for axis in figure.axes
        for text in axis.texts
        if text.get_fontweight() == "bold"
    }
    assert bold == {((0, 0), f"at  {c}") for c in ("<-->", "c2", ";")}


@pytest.fixture
def drawn(monkeypatch):
    """The title of each picture that would have been written, and what its panels say of runs;
    drawing it out is the other tests' part."""
    titles = {}

    def note(figure, path):
        assert figure.axes and path.parent == Path("pictures")
        panels = [
            axis.get_title(loc) for axis in figure.axes for loc in ("left", "center", "right")
        ]
        panels += [text.get_text() for axis in figure.axes for text in axis.get_yticklabels()]
        titles[path.stem] = (figure.get_suptitle(), " ".join(panels))
        plt.close(figure)

    monkeypatch.setattr(comparison, "save", note)
    return titles


SEEDS = ("learned-0", "learned-1", "rotary-0")


@pytest.mark.parametrize("names", [SEEDS, RUNS[:1]], ids=["seeds", "one"])
def test_all_pictures_of_runs(drawn, names):
    """One run alone can be drawn too. Of several seeds one has panels, and the picture says so."""
    comparison.draw_comparison(Path("pictures"), compared(names))
    assert {f"C{n}" for n in (1, 2, 3, 4, 5, 6, 7)} | {"C8abc", "C8d", "W1"} <= {
        name.split("_")[0] for name in drawn
    }
    with_panels = {"patching", "formation", "writing", "taxonomy", "architectures", "C4_edits"}
    of_all = {"training", "claims", "C1_readouts", "W1_world", "C7_code"}
    assert with_panels | of_all <= set(drawn)
    said = {name for name, (title, _) in drawn.items() if "all 3 runs are in the tables" in title}
    if names == SEEDS:
        assert with_panels | {"frontier"} <= said and not of_all & said
        for name in with_panels:
            assert "learned-0" in drawn[name][1] and "learned-1" not in drawn[name][1], name
    else:
        assert not said
