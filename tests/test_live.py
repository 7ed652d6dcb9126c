"""Live curves: the points of a training while it runs, each once, also in a folder of its own."""

import subprocess
import sys

import pandas as pd
import pytest
import yaml

from mazewm.model.training import HistoryRow
from stages.imports import ROOT
from stages.live import CURVES, PARTS, LiveCurve


def row(step):
    return HistoryRow(step, 32 * step, 1.5 / step, 2.0, 0.25)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def points():
    curves = pd.read_csv(CURVES)
    return list(zip(curves.run, curves.step, strict=True))


def test_a_training_that_begins_again_has_no_point_twice(folder):
    curve = LiveCurve.of("rotary-all-0")
    curve.write([row(1), row(3)])
    LiveCurve.of("learned-all-0").write([row(1)])
    curve.write([row(1)])  # resumed from an earlier checkpoint
    curve.write([row(1), row(2)])
    assert points() == [("learned-all-0", 1), ("rotary-all-0", 1), ("rotary-all-0", 2)]
    curve.write([])
    assert points() == [("learned-all-0", 1)]
    curve.end()
    assert points() == [("learned-all-0", 1)], "what ran here stays to be seen"
    assert list(pd.read_csv(CURVES).columns) == [*vars(row(1)), "run"]


def test_an_experiment_in_a_folder_of_its_own_is_seen_in_the_main_one(folder, monkeypatch):
    LiveCurve.of("rotary-all-0").write([row(1)])
    apart = folder / "apart"
    apart.mkdir()
    monkeypatch.chdir(apart)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.setenv("DVC_EXP_NAME", "quick-lark")
    curve = LiveCurve.of("rotary-all-0")
    curve.write([row(2)])
    monkeypatch.chdir(folder)
    assert points() == [("quick-lark rotary-all-0", 2), ("rotary-all-0", 1)]
    curve.end()
    assert points() == [("rotary-all-0", 1)]
    assert [path.name for path in PARTS.iterdir()] == ["rotary-all-0.csv"]


def test_dvc_plots_read_the_live_curve(folder):
    """The plots of the project's dvc.yaml, while a training has written two points."""
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]
    live = [plot for plot in plots if str(CURVES) in next(iter(plot.values()))["y"]]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": live}))
    (folder / ".dvc" / "plots").mkdir(parents=True)
    template = ".dvc/plots/by_run.json"
    (folder / template).write_text((ROOT / template).read_text())
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "config", "core.no_scm", "true"], check=True)
    LiveCurve.of("rotary-all-0").write([row(1), row(4)])
    said = subprocess.run(
        [*dvc, "plots", "show", "--json"], capture_output=True, text=True, check=True
    ).stdout
    shown = yaml.safe_load(said)
    assert "errors" not in shown and len(shown["data"]) == 2
    for column in ("solved", "loss_path"):
        contents = [plot[0]["content"] for plot in shown["data"].values()]
        [found] = [one for one in contents if one["encoding"]["y"]["field"] == column]
        points = [(point["step"], point["run"]) for point in found["data"]["values"]]
        assert points == [("1", "rotary-all-0"), ("4", "rotary-all-0")]
