"""Scores from hand-wired weights, by hand."""

import numpy as np
import pytest
import torch
from circuits import planted_circuit as toy
from toys import tiny

from mazewm.circuits.offsets import KEY_CLASSES, MAX_OFFSET, occurs
from mazewm.circuits.qk import QkRow, qk_by_offset
from mazewm.inference.edits import run
from mazewm.io import tables
from mazewm.maze.tokens import CONNECTOR, DELIMITER, SPECIALS
from mazewm.model.positions import ENCODINGS
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer, TransformerParams

N_CONNECTIONS = 11  # eleven connections have their later half beyond MAX_OFFSET


def profile(model, n_connections=N_CONNECTIONS):
    cells = np.arange(model.d_vocab - len(SPECIALS))
    return tables.frame(qk_by_offset(model, n_connections, cells), QkRow)


def one_direction(encoding: str) -> Transformer:
    """A head that reads (1, 0, ...) in ``;``, (-1, 0, ...) in a cell and (0, ...) in ``<-->``,
    times 3 as a query and times 2 as a key."""
    model = Transformer(
        TransformerParams(n_layers=1, d_model=12, n_heads=2, d_mlp=2), encoding, 20, 60
    )
    block = model.layers[0]
    block.norm1 = torch.nn.Identity()
    with torch.no_grad():
        model.W_E.zero_()[DELIMITER, 0] = 1.0
        model.W_E[len(SPECIALS) :, 0] = -1.0
        block.attn.Q.zero_()[0, 0] = 3.0
        block.attn.K.zero_()[0, 0] = 2.0
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("encoding", ["rotary", "none", "alibi"])
def test_scores_are_those_worked_out_by_hand(encoding):
    found = profile(one_direction(encoding)).set_index(["head", "query_class", "key_class"])
    signs = {"coordinate": -1, "c2": -1, ";": 1, "<-->": 0}
    for (head, query, key), rows in found.groupby(level=[0, 1, 2]):
        # The first pair of dimensions turns by one radian for each position.
        turned = np.cos(rows.offset) if encoding == "rotary" else 1
        expected = signs[query] * signs[key] * 6 / 6**0.5 * turned * (head == 0)
        if encoding == "alibi":
            expected = expected - rows.offset / 2 ** (4 * (head + 1))
        assert np.allclose(rows.score, expected, atol=1e-5)
        assert np.allclose(rows.sd_over_positions, 0, atol=1e-5)
    assert sorted(set(found.offset)) == list(range(MAX_OFFSET + 1))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_scores_are_the_means_of_the_model_s_own(encoding):
    """Every pair of cells is read by the model itself, at every position."""
    model = tiny(encoding, d_vocab=20, n_ctx=60)
    found = profile(model, 7).set_index(["head", "query_class", "key_class", "offset"])
    kinds = {"coordinate": range(len(SPECIALS), 20), "<-->": [CONNECTOR], ";": [DELIMITER]}
    for query, at in (("c2", [15, 19, 23, 27]), (";", [16, 20, 24, 28])):
        for key, offset in (("coordinate", 2), (";", 5), ("<-->", 1)):
            scores = []
            for position in at:
                for q in kinds["coordinate" if query == "c2" else query]:
                    for k in kinds[key]:
                        tokens = torch.full((1, position + 1), k)
                        tokens[0, position] = q
                        inside = run(model, tokens, record=[Place(0, Site.SCORES)]).values[
                            Place(0, Site.SCORES)
                        ]
                        scores.append(inside[0, :, position, position - offset])
            scores = torch.stack(scores).unflatten(0, (len(at), -1)).mean(dim=1)
            for head in range(3):
                row = found.loc[head, query, key, offset]
                assert row.score == pytest.approx(scores[:, head].mean().item(), abs=1e-4)
                assert row.sd_over_positions == pytest.approx(
                    scores[:, head].std(correction=0).item(), abs=1e-4
                )


def test_only_offsets_matter_to_rotary_and_places_do_to_learned():
    sd = {
        encoding: profile(tiny(encoding, d_vocab=20, n_ctx=60)).sd_over_positions
        for encoding in ENCODINGS
    }
    assert all(np.allclose(sd[encoding], 0, atol=1e-5) for encoding in ("rotary", "alibi", "none"))
    assert all(sd[encoding].max() > 0.01 for encoding in ("learned", "sinusoidal"))


def test_head_that_looks_two_back_scores_two_back():
    rows = (
        profile(toy.planted())
        .query("head == 0 and query_class == 'c2' and key_class == 'coordinate'")
        .set_index("offset")
    )
    best = rows.score.drop(2).max()
    assert rows.score[2] > best + 5 and np.allclose(rows.sd_over_positions, 0, atol=1e-4)


def test_offsets_end_where_the_list_begins():
    assert profile(toy.planted(), 3).groupby("query_class").offset.max().to_dict() == {
        "<-->": 6,
        "c2": 7,
        ";": 8,
    }


def test_what_can_stand_where():
    """c1 <--> c2 ; c1 <--> c2 ;"""
    assert [
        [offset for offset in range(8) if occurs("c2", key, offset)] for key in KEY_CLASSES
    ] == [[0, 2, 4, 6], [1, 5], [3, 7]]
    assert [[offset for offset in range(8) if occurs(";", key, offset)] for key in KEY_CLASSES] == [
        [1, 3, 5, 7],
        [2, 6],
        [0, 4],
    ]


def test_cells_that_no_maze_mentions_do_not_count():
    model = tiny("none", d_vocab=20, n_ctx=60)
    few = tables.frame(qk_by_offset(model, 7, np.array([0, 3])), QkRow)
    model.W_E[[len(SPECIALS) + cell for cell in (1, 2, 4, 5, 6, 7, 8)]] = 99.0
    again = tables.frame(qk_by_offset(model, 7, np.array([0, 3])), QkRow)
    assert few.equals(again)
    assert not few.equals(profile(model, 7))
