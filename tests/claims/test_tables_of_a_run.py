"""The tables of a run as they are read for scoring, and its results as they are written."""

import json
from dataclasses import fields

import pandas as pd
import pytest
from planted import trees

from mazewm import results
from mazewm.claims.claim import unmeasured
from mazewm.claims.curves import read_curve, read_measured
from mazewm.claims.run import WITH_SETS, RunTables, Scored
from mazewm.io.errors import BadInput
from mazewm.localize.locations import Location, Locations, WritingSite
from mazewm.maze import mazes
from mazewm.maze.tokens import TokenClass
from mazewm.run import Run

READING, WRITING = Location(1, TokenClass.C2), WritingSite(0, ("c1", ";"), TokenClass.DELIMITER)
MAZES = {name: trees(30, seed=n) for n, name in enumerate(("train", "validation", "test"))}
MAZES["overload"] = trees(30, seed=3)
HELD_OUT = [name for name in MAZES if name != "train"]


def of_mazes(name):
    """A table with a row for two mazes of every split, which also says what it is."""
    rows = [(split, int(n)) for split in HELD_OUT for n in MAZES[split].maze_id[:2]]
    return pd.DataFrame(rows, columns=["split", "maze_id"]).assign(name=name, layer=[0, 0, 1] * 2)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of two layers on disk; its tables are made up."""
    run = Run.named("learned-all-0", tmp_path)
    for name, some in MAZES.items():
        mazes.write(run.maze_file(name), some)
    for kind in ("locations", "models", "observations"):
        run.folder(kind).mkdir(parents=True)
    Locations(READING, WRITING).save(run.folder("locations"))
    (run.folder("models") / "history.csv").write_text("step,loss\n30,1.5\n")
    (run.folder("observations") / "formation.csv").write_text("step,layer\n20,1\n")
    monkeypatch.setattr(results, "table", lambda _, name: of_mazes(name))
    monkeypatch.setattr(results, "inputs", lambda _, name: of_mazes(f"{name} of the maze alone"))
    return run


def test_every_table_is_read(run):
    found = RunTables.of(run)
    assert (found.site, found.writing_site) == (READING, WRITING)
    assert found.most == MAZES["train"].n_connections.max()
    assert found.history.to_dict("list") == {"step": [30], "loss": [1.5]}
    assert found.formation.to_dict("list") == {"step": [20], "layer": [1]}
    names = {field.name for field in fields(RunTables)}
    names -= {"site", "writing_site", "most", "history", "formation"}
    assert names > set(WITH_SETS)
    for name in names:
        rows = getattr(found, name)
        told = [f"{name} of the maze alone"] * 6 if name in ("probes", "whole") else []
        assert rows.name.tolist() == [name] * 6 + told
        assert rows.index.tolist() == list(range(len(rows)))
        assert ("connection_set" in rows) == (name in WITH_SETS), name


def test_a_site_that_the_model_does_not_have_is_refused(run):
    Locations(Location(2, TokenClass.C2), WRITING).save(run.folder("locations"))
    with pytest.raises(BadInput, match="expected one below 2, found 2"):
        RunTables.of(run)


def test_claims_and_curves_are_written(tmp_path):
    claims = [unmeasured(f"C{n}", "it is so", "how much", "no data") for n in range(2)]
    curve = pd.DataFrame({"x": ["a", "b"], "y": [1 / 3, 2.0]})
    Scored({}, claims, {"doses": curve, "held": curve.head(1)}, []).write(tmp_path)
    written = json.loads((tmp_path / "claims.json").read_text())
    assert written == {one.id: one.as_json() for one in claims}
    assert (tmp_path / "doses.csv").read_text().splitlines() == ["x,y", "a,0.333333", "b,2.0"]
    assert (tmp_path / "held.csv").read_text().splitlines() == ["x,y", "a,0.333333"]


@pytest.mark.parametrize("read", [read_curve, read_measured])
def test_a_curve_that_cannot_be_read_is_named(tmp_path, read):
    path = tmp_path / "history.csv"
    with pytest.raises(BadInput, match=r"history\.csv: the file is missing"):
        read(path)
    for spoilt in (b"", b"a,b\n1,2\n1,2,3\n", b"\xff\xfe\xff"):
        path.write_bytes(spoilt)
        with pytest.raises(BadInput, match=r"history\.csv: not a table in CSV"):
            read(path)
    path.write_text("step,loss\n1,0.5\n2,0.25\n")
    assert read(path).to_dict("list") == {"step": [1, 2], "loss": [0.5, 0.25]}


@pytest.mark.parametrize(("found", "said"), [("", "nan"), ("inf", "inf")])
def test_gaps_in_what_was_measured_are_named(tmp_path, found, said):
    path = tmp_path / "history.csv"
    path.write_text(f"name,step,loss\na,1,0.5\nb,2,{found}\n")
    with pytest.raises(BadInput, match=rf"column loss: .* found {said} in row 1\.$"):
        read_measured(path)
    assert len(read_curve(path)) == 2
