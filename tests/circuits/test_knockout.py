"""What ablating heads of known use does to known latents, and to the path."""

import numpy as np
import pytest
import torch
from circuits import planted_circuit as toy

from mazewm.circuits import faithfulness, tracing
from mazewm.circuits.attention import BindingHead
from mazewm.circuits.faithfulness import FaithfulnessRow
from mazewm.circuits.knockout import Knockout, KnockoutRow, _draw_donors, knock_out
from mazewm.circuits.params import CircuitParams
from mazewm.circuits.readable import Readable
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize.locations import PAPER_LOCATION, Location
from mazewm.maze.tokens import TokenClass, encode

C2 = Location(0, TokenClass.C2)
BINDING = [BindingHead(0, 0, 1.0)]
NAMED = {"binding": BINDING, "connectivity": []}
MAZES = toy.trees(211)
PARAMS = CircuitParams(
    n_mazes=61,
    n_swaps=7,
    batch_size=13,
    connectivity_threshold=0.5,
    n_binding_mazes=41,
    n_position_bins=3,
    n_threads=1,
)


def effects(model, site=C2, best=toy.BEST, named=NAMED):
    known = Readable(site, toy.planted_sae(), best)
    rows = knock_out(Knockout.of(Subject(model, MAZES, 0, 53), known), named)
    frame = tables.frame(rows, KnockoutRow)
    assert not frame.duplicated(["site", "ablation", "heads", "connection"]).any()
    return frame.set_index(["heads", "ablation"]).sort_index()


def test_head_that_fetches_is_needed_and_the_other_is_not():
    found = effects(toy.planted())
    assert set(found.index.get_level_values("heads")) == {"0.0", "0.1", "binding", "others", "all"}
    for heads in ("0.0", "binding", "all"):
        mean = found.loc[heads, "mean"]
        assert sorted(mean.connection) == list(range(12))
        assert np.allclose(mean.effect_own, 1)
        # A random other token has one of the two cells now and then, and this connection sometimes.
        assert 0.6 < found.loc[heads, "resample"].effect_own.mean() < 1
        assert mean.n.sum() == len(MAZES)
    for heads in ("0.1", "others"):
        assert np.allclose(found.loc[[(heads, "mean"), (heads, "resample")]].effect_own, 0)
    assert (found.effect_other == 0).all()


def test_heads_of_later_blocks_that_do_nothing_have_no_effect():
    found = effects(toy.planted(n_layers=2), Location(1, TokenClass.C2))
    assert np.allclose(found.loc["0.0", "mean"].effect_own, 1)
    assert np.allclose(found.loc["1.0", "mean"].effect_own, 0)
    assert np.allclose(found.effect_other, 0)


def test_leak_to_later_tokens_is_seen():
    model = toy.planted(n_layers=2)
    attn = model.blocks[1].attn
    attn.Q.zero_()
    attn.V.zero_()[toy.FETCHED : toy.FETCHED + toy.N_CELLS, 0] = 1.0
    attn.O[0, toy.FETCHED : toy.FETCHED + toy.N_CELLS] = 0.1
    found = effects(model, Location(1, TokenClass.C2))
    # Ablated, the fetched cell is spread over nine: LayerNorm makes more of it, and later latents
    # grow a little.
    assert (found.loc["0.0", "mean"].effect_other < -1e-3).all()


def test_nowhere_but_at_the_chosen_token_class():
    # At ; head 0 finds <--> and the latents are silent: nothing can be measured, and nothing is
    # said.
    assert (
        knock_out(
            Knockout.of(
                Subject(toy.planted(), MAZES, 0, 53),
                Readable(PAPER_LOCATION, toy.planted_sae(), toy.BEST),
            ),
            NAMED,
        )
        == []
    )


def test_connections_without_a_latent_give_nothing():
    some = {e: latent for e, latent in toy.BEST.items() if e < 7}
    found = effects(toy.planted(), best=some)
    assert set(found.connection) == set(some)


def test_donors_are_other_mazes():
    owners = np.repeat(np.arange(5), 7)
    index = np.tile(np.arange(5), 41)
    donors = _draw_donors(np.random.default_rng(0), index, owners)
    assert (owners[donors] != index).all()
    assert len(np.unique(donors)) == len(owners)


def test_one_maze_has_no_donors():
    """It looked for one without end, and its mean was its own value."""
    with pytest.raises(BadInput, match="circuits.n_mazes: expected at least 2 mazes.*found 1"):
        Knockout.of(
            Subject(toy.planted(), MAZES[:1], 0, 53), Readable(C2, toy.planted_sae(), toy.BEST)
        )
    two = Subject(toy.planted(), MAZES[:2], 0, 53)
    assert knock_out(Knockout.of(two, Readable(C2, toy.planted_sae(), toy.BEST)), NAMED)


def test_mazes_that_are_alone_are_no_mean_of_others():
    """Of two mazes with different numbers of connections, each would be its own mean."""
    n = MAZES.n_connections
    alone = [int(np.flatnonzero(n == each)[0]) for each in np.unique(n)[:2]]
    pair = np.flatnonzero(n == n.max())[:2].tolist()
    subject = Subject(toy.planted(), MAZES[np.array(alone)], 0, 53)
    assert faithfulness.measure(subject, {C2: BINDING}) == []
    both = faithfulness.measure(
        Subject(toy.planted(), MAZES[np.array(alone[:1] + pair)], 0, 53), {C2: BINDING}
    )
    assert {row.n for row in both} == {2} and len(both) == 3


@pytest.mark.parametrize("layer", [0, 1])
def test_head_that_does_all_is_faithful_and_the_rest_is_not(layer):
    model = toy.planted(n_layers=2, writes=(True, False))
    if layer == 1:
        model.blocks[0], model.blocks[1] = model.blocks[1], model.blocks[0]
    site = Location(layer, TokenClass.C2)
    rows = faithfulness.measure(Subject(model, MAZES, 0, 53), {site: [BindingHead(layer, 0, 1.0)]})
    found = {row.circuit: row for row in rows}
    assert {name: (row.heads, round(row.faithfulness, 5)) for name, row in found.items()} == {
        "binding": (f"{layer}.0", 1.0),
        "complement": (f"{layer}.1", 0.0),
        "random": (f"{layer}.1", 0.0),
    }


def test_model_score_is_the_mean_log_probability_of_the_path():
    model, mazes = toy.planted(), toy.trees(23, smallest=9)
    subject = Subject(model, mazes, 3, 100)
    row = faithfulness.measure(subject, {C2: BINDING})[0]
    tokens = encode(mazes, subject.rng("faithfulness")).tokens
    logits = model(torch.from_numpy(tokens)).log_softmax(dim=-1).numpy()
    scores = [
        logits[i, p - 1, tokens[i, p]]
        for i in range(len(tokens))
        for p in range(4 * 8 + 9, tokens.shape[1])
        if tokens[i, p]
    ]
    assert row.m_model == pytest.approx(np.mean(scores), rel=1e-5)
    assert row.n == 23


def test_sites_without_binding_heads_have_an_empty_circuit():
    rows = faithfulness.measure(
        Subject(toy.planted(), MAZES[:41], 0, 53), {C2: BINDING, PAPER_LOCATION: []}
    )
    paper = {
        row.circuit: (row.n_heads, row.faithfulness)
        for row in rows
        if row.site == str(PAPER_LOCATION)
    }
    assert paper == {"binding": (0, 0.0), "complement": (2, 1.0)}
    alone = faithfulness.measure(Subject(toy.planted(), MAZES[:41], 0, 53), {C2: BINDING})
    assert alone == [row for row in rows if row.site == str(C2)]


def test_block_that_does_nothing_has_no_circuit():
    assert (
        faithfulness.measure(
            Subject(toy.planted(writes=(False, False)), MAZES[:41], 0, 53), {C2: BINDING}
        )
        == []
    )


def subjects() -> tuple[Subject, Subject]:
    """Test mazes, and those on which heads and edges are chosen."""
    return tuple(Subject(toy.planted(), some, 0, 13) for some in (MAZES[:61], MAZES[61:150]))


def test_trace_covers_both_sites_and_copes_without_heads(tmp_path):
    known = [Readable(location, toy.planted_sae(), toy.BEST) for location in (C2, PAPER_LOCATION)]
    traced = tracing.trace_subject(*subjects(), known, PARAMS)
    assert {(row.site, row.kind) for row in traced.rows["heads"]} == {
        (str(C2), "binding"),
        (str(C2), "connectivity"),
        (str(PAPER_LOCATION), "binding"),  # the head that reads everything
        ("0.resid_post at <-->", "binding"),
    }
    assert {row.site for row in traced.rows["faithfulness"]} == {str(C2), str(PAPER_LOCATION)}
    assert {row.site for row in traced.rows["ov_consistency"]} == {str(C2), str(PAPER_LOCATION)}
    assert {row.site for row in traced.rows["knockouts"]} == {str(C2)}
    assert max(row.n for row in traced.rows["attention"]) == 61
    traced.write(tmp_path)
    for name, rows in traced.rows.items():
        assert len(tables.read(tmp_path / f"{name}.parquet", tracing.ROW_TYPES[name])) == len(rows)
    again = tracing.trace_subject(*subjects(), known, PARAMS)
    assert again == traced


def test_paper_site_is_measured_once_if_it_is_the_consolidation_site():
    traced = tracing.trace_subject(
        *subjects(),
        [Readable(PAPER_LOCATION, toy.planted_sae(), {})],
        PARAMS,
    )
    names = ["binding", "complement", "random"]
    assert [row.circuit for row in traced.rows["faithfulness"]] == names
    assert traced.rows["knockouts"] == [] and traced.rows["ov_consistency"] == []
    assert isinstance(traced.rows["faithfulness"][0], FaithfulnessRow)
