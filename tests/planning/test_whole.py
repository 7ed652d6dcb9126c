"""What a sum over tokens tells of a maze, and probes of models whose content is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from counterfactuals.small_trees import small_trees
from planning.planted_params import PARAMS
from toys import batch, draw, wanderer

from mazewm.maze.mazes import write as write_mazes
from mazewm.maze.tokens import Vocabulary
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.planning import read_inputs
from mazewm.planning.mentions import mentions
from mazewm.planning.reading import FRAME, LAST, read
from mazewm.planning.whole import CONNECTED, WholeProbes, connected

# the lower walls are open in one and closed in the other; all cells are mentioned as often
RING = batch(draw("O-o-o\n|   |\no-T o\n  | |\no-o-o"))


def of_connections(mazes):
    return connected(mazes)[CONNECTED]


def test_connected_counts_where_both_cells_are_mentioned():
    fact = of_connections(batch(draw("O-o o\n|   .\nT o o\n.    \no o o")))
    edge = RING.grid.connection_of
    assert np.flatnonzero(fact.counts[0]).tolist() == sorted([edge[0, 1], edge[0, 3]])
    assert fact.value[0, edge[0, 1]] == 1 and fact.value.sum() == 2
    around = of_connections(RING)
    assert around.counts.sum() == 12 and around.value.sum() == 9


def test_mentions_are_the_number_of_connections_of_each_cell():
    assert mentions(RING)[0].tolist() == [2, 2, 2, 2, 2, 2, 1, 3, 2]


@pytest.fixture(scope="module")
def trees():
    mazes = small_trees(600, smallest=8, largest=13)
    return mazes[: len(mazes) * 2 // 3], mazes[len(mazes) * 2 // 3 :]


def sums_the_list() -> Transformer:
    """Attention is uniform and writes the embedding that it reads, so that every token holds the
    mean of what came before; each token has a dimension of its own."""
    vocabulary = Vocabulary(4)
    torch.manual_seed(0)
    d = len(vocabulary) + 1
    shape = TransformerParams(n_layers=1, d_model=d, n_heads=1, d_mlp=1)
    model = Transformer(shape, "none", len(vocabulary), vocabulary.max_length)
    model.silence()
    with torch.no_grad():
        model.W_E.copy_(torch.eye(len(vocabulary), d))
        attention = model.layers[0].attn
        attention.V.copy_(torch.eye(d))
        attention.O.copy_(torch.eye(d))
    return model


def test_a_sum_over_the_list_tells_what_the_mentions_tell(trees, tmp_path):
    fit_on, test = trees
    model, half = sums_the_list(), len(test) // 2
    held_out = {"validation": test[:half], "test": test[half:]}
    probes = WholeProbes(fit_on, held_out, [1e-4, 1e-3])
    probes.read_model("model", read(model, fit_on, held_out, 0, 100).at(FRAME))
    for split, some in {"train": fit_on, **held_out}.items():
        write_mazes(tmp_path / "mazes" / "0" / f"{split}.parquet", some)
    params = PARAMS.model_copy(update={"n_input_mazes": len(fit_on), "n_held_out_mazes": len(test)})
    found = pd.concat([*probes.parts, read_inputs(tmp_path / "mazes" / "0", params).whole])
    sums = found.groupby(["readout", "token", "depth"])[["sse", "sst", "n"]].sum()
    explained = 1 - sums.sse / sums.sst
    told, more = explained["mentions", "none", -1], explained["mentions_boosted", "none", -1]
    assert 0.4 < told < 1 and 0.4 < more < 1
    # the mean of the list is linear in the number of mentions, which one-hot says more finely
    assert 0.1 < explained["model", "<ADJLIST_END>", 1] < told + 0.1
    assert abs(explained["model", "<ADJLIST_END>", 0]) < 0.05, "the marker is always the same"
    is_fitted = probes.known.counts.sum(axis=0) > 0
    assert (sums.n == of_connections(test).counts[:, is_fitted].sum()).all()


def test_the_frame_is_what_follows_the_list():
    model = wanderer("learned")
    seen = read(model, RING, {"test": RING}, 0, 10)
    resid, last = seen.at(FRAME).fitted, seen.at(LAST)
    assert resid.shape[:3] == (len(FRAME), 3, 1) and last.fitted.shape[:3] == (4, 3, 1)
    assert last.held_out["test"].shape == last.fitted.shape
    names = {"<ADJLIST_END>": 2, "<ORIGIN_START>": 3, "<PATH_START>": 7}
    for name, token in names.items():
        embedded = resid[FRAME.index(name), 0, 0] - model.W_E[token].detach().numpy()
        assert np.abs(embedded).max() < np.abs(resid[FRAME.index(name), 0, 0]).max()
    assert FRAME[1:] == ("<ORIGIN_START>", "origin", "<ORIGIN_END>", "<TARGET_START>", "target",
                         "<TARGET_END>", "<PATH_START>")  # fmt: skip
    # the three tokens that both have are the same
    for name in LAST[:-1]:
        assert np.array_equal(resid[FRAME.index(name)], last.fitted[LAST.index(name)])
