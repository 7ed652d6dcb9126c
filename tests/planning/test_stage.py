"""The stage on small generated mazes, run once: all tables are written, with every readout, fact
and method.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from mazewm.datasets.draw import FamilyParams, MazeParams, generate
from mazewm.maze import mazes
from mazewm.maze.tokens import Vocabulary
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.planning import steering
from mazewm.planning.reading import FRAME
from mazewm.planning.steering import OTHERS, STEERED
from mazewm.results import table
from mazewm.run import Run
from stages.probe_planning import main

FAMILY = FamilyParams(generator="dfs", size=4, min_cells=9, max_cells=13, share=1.0)
PARAMS = """
scale: toy
planning: {}
scales:
  toy:
    planning: {n_fit_mazes: 211, n_input_mazes: 211, n_held_out_mazes: 97, penalties: [0.1],
      n_steered: 5, n_steered_validation: 3, doses: [3.0], n_twins: 2, n_twins_validation: 1,
      twin_doses: [1.0, 3.0], batch_size: 53, n_threads: 1}
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planning")
    run = Run.named("rotary-all-3", folder / "artifacts")
    run.weights.parent.mkdir(parents=True)
    (folder / "params.yaml").write_text(PARAMS)
    full = FAMILY.model_copy(update={"min_cells": 16, "max_cells": 16})
    params = MazeParams(
        world="all",
        vocabulary_size=4,
        families={"sparse": FAMILY},
        overload=full,
        n_train=211,
        n_validation=97,
        n_test=97,
        n_overload=1,
        held_out_share=0.5,
    )
    for name, batch in generate(params, 0).items():
        mazes.write(run.maze_file(name), batch)
    torch.manual_seed(1)
    vocabulary = Vocabulary(4)
    shape = TransformerParams(n_layers=2, d_model=12, n_heads=2, d_mlp=7)
    Transformer(shape, "rotary", len(vocabulary), vocabulary.max_length).save(run.weights)
    app = typer.Typer()
    app.command()(main)
    # a random model solves nothing, and then nothing could be chosen
    all_solved = lambda mazes, cells: SimpleNamespace(solved=np.ones(len(mazes), bool))  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(steering, "judge", all_solved)
        assert CliRunner().invoke(app, [run.name], catch_exceptions=False).exit_code == 0
    return run


def test_stage_writes_its_tables(written):
    rows = table(written, "probes")
    assert set(rows.readout) == {"model", "untrained_model", "shuffled_labels"}
    assert {"distance", "on_path", "step_1"} <= set(rows.fact)
    assert set(rows.split) == {"validation", "test"}
    assert set(rows[rows.token == "target"].depth) == {0, 1, 2}
    steered = table(written, "steering")
    for split in ("validation", "test"):
        assert set(steered[steered.split == split].method) == {STEERED, *OTHERS}
    test = steered[steered.split == "test"]
    one_each = test.groupby(["situation", "fact", "method"])[["where", "depth", "dose"]].nunique()
    assert (one_each == 1).all().all()
    later = steered[steered.situation == "later"]
    assert set(later.depth) == {1} and set(steered[steered.situation == "first"].depth) == {1, 2}


def test_the_tokens_after_the_list_are_read_and_written(written):
    read = table(written, "whole")
    assert set(read.split) == {"validation", "test"} and (read.sst >= 0).all()
    inside = read[read.readout.isin(["model", "untrained_model"])]
    assert inside.groupby(["token", "depth"]).ngroups == len(FRAME) * 3
    assert len(read) == len(inside), "readers of mentions are the stage probe_inputs"
    frame = table(written, "frame")
    tried = frame[frame.split == "validation"][["tokens", "method", "depth", "dose"]]
    assert len(tried.drop_duplicates()) == 3 * 2 * 1 * 2
    reported = frame[frame.split == "test"][["tokens", "method", "depth", "dose"]]
    assert len(reported.drop_duplicates()) == 3 * 2, "one depth and dose for each"
