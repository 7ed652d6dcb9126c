"""The stage on planted files, and the figures of what it writes."""

import matplotlib
import numpy as np
import pytest
import typer
from circuits import planted_circuit as toy
from typer.testing import CliRunner

from mazewm.circuits import tracing
from mazewm.features.ranking import LatentRow
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.activations import Wanted, cache
from mazewm.localize.locations import PAPER_LOCATION, Location, Locations, WritingSite
from mazewm.maze import mazes
from mazewm.maze.tokens import TokenClass
from mazewm.results import table
from mazewm.run import Run
from mazewm.sae.files import FROZEN, TRAINED, file_name
from stages.trace_circuits import main

matplotlib.use("Agg")
C2 = Location(0, TokenClass.C2)
PARAMS = """
scale: toy
circuits: {}
scales:
  toy:
    circuits: {n_mazes: 43, batch_size: 17, connectivity_threshold: 0.5, n_binding_mazes: 40,
      n_position_bins: 3, n_swaps: 7, n_threads: 1}
"""


@pytest.fixture
def traced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.named("learned-all-0")
    for kind in ("models", "locations", "activations", "saes", "features"):
        run.folder(kind).mkdir(parents=True)
    (tmp_path / "params.yaml").write_text(PARAMS)
    mazes.write(run.maze_file("test"), toy.trees(47))
    mazes.write(run.maze_file("validation"), toy.trees(97, seed=3))
    model, validation = toy.planted(), run.mazes("validation")
    model.save(run.weights)
    for kind in (TRAINED, FROZEN):
        toy.planted_sae().save(run.folder("saes") / file_name(C2.place, kind))
    cached = run.folder("activations") / "trained" / "validation"
    cache(cached, Subject(model, validation, 0, 17), Wanted([C2.place], [TokenClass.C2]))
    Locations(C2, WritingSite(0, (";",), TokenClass.C2)).save(run.folder("locations"))
    rows = [
        LatentRow(str(site), e, 0, latent, 0.5, 0.0, 1.0)
        for site in (C2, PAPER_LOCATION)
        for e, latent in toy.BEST.items()
    ]
    tables.write_rows(run.folder("features") / "latents.parquet", LatentRow, rows)
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, [run.name], catch_exceptions=False)
    assert result.exit_code == 0
    return {name: table(run, name) for name in tracing.ROW_TYPES}


def test_stage_finds_what_was_planted_and_it_can_be_drawn(traced, tmp_path):
    from mazewm.figures import circuits

    binding = traced["heads"][traced["heads"].kind == "binding"]
    assert binding[["site", "layer", "head"]].values.tolist() == [
        [str(C2), 0, 0],
        [str(PAPER_LOCATION), 0, 1],  # which reads everything
        ["0.resid_post at <-->", 0, 1],
    ]
    assert set(traced["directions"].split) == {"validation"}
    assert set(traced["directions"].site) == {str(C2)}
    assert set(traced["binding"].site) == {f"0.resid_post at {c}" for c in ("<-->", "c2", ";")}
    assert len(traced["edges"]) > 7 * 60
    assert set(traced["circuit"].source + " > " + traced["circuit"].to) == {
        "own c1 > last path",
        "own c2 > last path",
    }, "head 1 reads everything"
    knocked = traced["knockouts"].query("heads == 'binding' and ablation == 'mean'")
    assert np.allclose(knocked.effect_own, 1)
    assert len(traced["patch_pairs"]) == 7 and set(traced["patches"].pair) == set(range(7))
    looked = traced["qk"].query("query_class == 'c2' and key_class == 'coordinate' and head == 0")
    # as in mazes with six or seven connections
    assert looked.loc[looked.score.idxmax()].offset == 2 and looked.offset.max() > 10
    consistency, cosines = traced["ov_consistency"], traced["ov_cosines"]
    figures = [
        circuits.own_mass(traced["attention"]),
        circuits.ov_norms(traced["ov_norms"]),
        circuits.consistency(consistency, cosines, str(C2)),
        circuits.consistency(consistency.query("heads != 'binding'"), cosines[:0], str(C2)),
        circuits.knockouts(traced["knockouts"], [str(C2), str(PAPER_LOCATION)]),
    ]
    for number, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{number}.png")
        matplotlib.pyplot.close(figure)
    assert "no binding heads" in [text.get_text() for text in figures[3].axes[0].texts]
