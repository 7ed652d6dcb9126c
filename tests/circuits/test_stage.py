"""The stage on planted files, and the figures of what it writes."""

import matplotlib
import numpy as np
import pytest
import typer
from circuits import planted_circuit as toy
from typer.testing import CliRunner

from mazewm import tables
from mazewm.circuits import tracing
from mazewm.consolidation import PAPER_SITE, SpellingSite
from mazewm.features import LatentRow
from mazewm.maze import mazes
from mazewm.tokens import TokenClass
from mazewm.writing import Sites
from stages.trace_circuits import main

matplotlib.use("Agg")
C2 = SpellingSite(0, TokenClass.C2)
PARAMS = """
scale: toy
scales:
  toy:
    circuits: {n_mazes: 43, batch_size: 17, connectivity_threshold: 0.5, binding_ratio: 2.0, n_position_bins: 3, n_swaps: 7, n_threads: 1}
"""


@pytest.fixture
def traced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mazes", "activations", "saes", "features"):
        (tmp_path / name).mkdir()
    (tmp_path / "params.yaml").write_text(PARAMS)
    mazes.write(tmp_path / "mazes/test.parquet", toy.trees(47))
    toy.planted().save(tmp_path / "model.safetensors")
    toy.planted_sae().save(tmp_path / "saes/0.resid_post.safetensors")
    Sites(C2, C2).save(tmp_path / "activations")
    rows = [LatentRow(str(site), e, 0, latent, 0.5, 0.0, 1.0) for site in (C2, PAPER_SITE) for e, latent in toy.BEST.items()]
    tables.write_rows(tmp_path / "features/latents.parquet", LatentRow, rows)
    app = typer.Typer()
    app.command()(main)
    options = ["--seed", "0", "--mazes-in", "mazes", "--model", "model.safetensors", "--activations", "activations"]
    result = CliRunner().invoke(app, [*options, "--saes", "saes", "--features", "features", "--out", "out"], catch_exceptions=False)
    assert result.exit_code == 0
    return {name: tables.read(tmp_path / f"out/{name}.parquet", row_type) for name, row_type in tracing.ROW_TYPES.items()}


def test_stage_finds_what_was_planted_and_it_can_be_drawn(traced, tmp_path):
    from mazewm.figures import circuits

    binding = traced["heads"][traced["heads"].kind == "binding"]
    assert binding[["site", "layer", "head"]].values.tolist() == [[str(C2), 0, 0]]
    knocked = traced["knockouts"].query("heads == 'binding' and ablation == 'mean'")
    assert np.allclose(knocked.effect_own, 1)
    assert len(traced["patch_pairs"]) == 7 and set(traced["patches"].pair) == set(range(7))
    looked = traced["qk"].query("query_class == 'c2' and key_class == 'coordinate' and head == 0")
    assert looked.loc[looked.score.idxmax()].offset == 2 and looked.offset.max() > 10  # as in mazes with six or seven connections
    consistency, cosines = traced["ov_consistency"], traced["ov_cosines"]
    figures = [
        circuits.own_mass(traced["attention"]),
        circuits.ov_norms(traced["ov_norms"]),
        circuits.consistency(consistency, cosines, str(C2)),
        circuits.consistency(consistency, cosines, str(PAPER_SITE)),
        circuits.knockouts(traced["knockouts"], [str(C2), str(PAPER_SITE)]),
    ]
    for number, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{number}.png")
        matplotlib.pyplot.close(figure)
    assert "no binding heads" in [text.get_text() for text in figures[3].axes[0].texts]
