"""The stage on small generated mazes: both tables are written, with every readout, fact and method."""

import pytest
import torch
import typer
from typer.testing import CliRunner

from mazewm import tables
from mazewm.beyond.probes import BeyondRow
from mazewm.beyond.steering import METHODS, SteerRow
from mazewm.maze import mazes
from mazewm.maze.datasets import FamilyParams, MazeParams, generate
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.tokens import Vocabulary
from stages.probe_beyond import main

FAMILY = FamilyParams(generator="dfs", size=4, min_cells=9, max_cells=13, share=1.0)
PARAMS = """
scale: toy
scales:
  toy:
    beyond: {n_fit_mazes: 211, n_held_out_mazes: 97, penalties: [0.1], n_steered: 5, n_steered_validation: 3, doses: [3.0],
      batch_size: 53, n_threads: 1}
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    full = FAMILY.model_copy(update={"min_cells": 16, "max_cells": 16})
    params = MazeParams(world="all", vocabulary_size=4, families={"sparse": FAMILY}, overload=full, n_train=211, n_validation=97,
                        n_test=97, n_overload=1, held_out_share=0.5)  # fmt: skip
    for name, batch in generate(params, 0).items():
        mazes.write(tmp_path / f"mazes/{name}.parquet", batch)
    torch.manual_seed(1)
    vocabulary = Vocabulary(4)
    shape = TransformerParams(n_layers=2, d_model=12, n_heads=2, d_mlp=7)
    Transformer(shape, "rotary", len(vocabulary), vocabulary.max_length).save(tmp_path / "model.safetensors")
    app = typer.Typer()
    app.command()(main)
    options = ["--seed", "3", "--mazes-in", "mazes", "--model", "model.safetensors", "--out", "out"]
    assert CliRunner().invoke(app, options, catch_exceptions=False).exit_code == 0
    return tmp_path / "out"


def test_stage_writes_both_tables(written):
    rows = tables.read(written / "probes.parquet", BeyondRow)
    assert set(rows.readout) == {"model", "untrained_model", "shuffled_labels", "input", "input_pairs"}
    assert {"distance", "on_path"} <= set(rows.fact) and set(rows.split) == {"validation", "test"}
    assert set(rows[rows.token == "none"].depth) == {-1} and set(rows[rows.token == "target"].depth) == {0, 1, 2}
    steered = tables.read(written / "steering.parquet", SteerRow)
    assert set(steered.method) == set(METHODS) and set(steered[steered.split == "validation"].method) < set(METHODS)
    later = steered[steered.situation == "later"]
    assert set(later.depth) == {1} and set(steered[steered.situation == "first"].depth) == {1, 2}
