"""Patching a model in which the place of a connection's information is known."""

import numpy as np
import pytest
import torch
from circuits.planted_circuit import trees
from toys import tiny

from mazewm.circuits.groups import FRAME, JOINT, LATER, OWN, TOKEN_GROUPS, token_groups
from mazewm.circuits.patching import (
    PatchPairRow,
    PatchRow,
    encode_alike,
    measured_groups,
    patch,
    read_pairs,
)
from mazewm.counterfactuals.swaps import swaps
from mazewm.inference.edits import Edit, run
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.streams import stream
from mazewm.maze.tokens import SPECIALS, TokenClass, Vocabulary, connection_positions
from mazewm.model.positions import ENCODINGS
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer, TransformerParams

N_POS, VOCABULARY = 53, Vocabulary(3)
EIGHT_CONNECTIONS = trees(101, smallest=9)
EIGHT = swaps(EIGHT_CONNECTIONS, np.random.default_rng(1), 17)
MIXED = swaps(trees(97), np.random.default_rng(0), 23)


def reads_c2(n_layers: int = 3) -> Transformer:
    """A model without norms whose block 0 copies each token two positions on, and whose last block
    copies what arrived at c2 of eight connections to every later position, where each cell asks for
    some cells more than for others.

    So what decides is c1: in the embeddings at c1, after block 0 at c2, and after the last block at
    the token that is read."""
    d_vocab = len(VOCABULARY)
    d = 1 + N_POS + 2 * d_vocab
    torch.manual_seed(0)
    model = Transformer(
        TransformerParams(n_layers=n_layers, d_model=d, n_heads=1, d_mlp=3),
        "learned",
        d_vocab,
        N_POS,
    )
    model.silence()
    model.norm_final = torch.nn.Identity()
    for block in model.layers:
        block.norm1 = block.norm2 = torch.nn.Identity()
    token, fetched = 1 + N_POS + torch.arange(d_vocab), 1 + N_POS + d_vocab + torch.arange(d_vocab)
    with torch.no_grad():
        model.W_E.zero_()[:, token] = torch.eye(d_vocab)
        model.W_E[:, 0] = 1
        model.encoding.W_pos.zero_()[:, 1 : 1 + N_POS] = torch.eye(N_POS)
        model.W_U.zero_()[fetched] = torch.randn(d_vocab, d_vocab)
        first, last = model.layers[0].attn, model.layers[-1].attn
        for attn in (first, last):
            attn.Q.zero_(), attn.K.zero_(), attn.V.zero_()
            attn.O.copy_(torch.eye(d))
        first.Q[torch.arange(3, 1 + N_POS), torch.arange(1, N_POS - 1)] = 1000.0
        first.K[1 : 1 + N_POS, 1 : 1 + N_POS] = torch.eye(N_POS)
        first.V[token, fetched] = 1.0
        last.Q[0, 0] = 1000.0
        last.K[1 + connection_positions(8, TokenClass.C2), 0] = 1.0
        last.V[fetched, fetched] = 40.0
    return model.eval().requires_grad_(False)


def linear(encoding: str) -> Transformer:
    """A random model without norms or MLPs whose attention is the same everywhere: logits are
    linear in every activation."""
    model = tiny(encoding, d_vocab=len(VOCABULARY), n_ctx=N_POS, n_layers=3)
    model.W_E *= 100
    model.norm_final = torch.nn.Identity()
    for block in model.layers:
        block.norm1 = block.norm2 = torch.nn.Identity()
        block.attn.Q.zero_()
        block.mlp.W_out.zero_()
    return model


def frames(model, some, seed=0, batch=100):
    patched = patch(Subject(model, some.mazes, seed, batch), some)
    pairs, patches = (
        tables.frame(patched.pairs, PatchPairRow),
        tables.frame(patched.patches, PatchRow),
    )
    assert not patches.duplicated(["pair", "layer", "site", "token_group"]).any()
    return pairs, patches.merge(pairs, on="pair")


@pytest.fixture(scope="module")
def of_c2():
    return frames(reads_c2(), EIGHT, seed=1)


def test_information_is_found_where_it_was_put(of_c2):
    pairs, patches = of_c2
    assert (abs(pairs.metric_clean - pairs.metric_corrupted) > 0.1).sum() > 8
    holds = {
        (0, "resid_pre"): "own c1",
        (0, "resid_post"): "own c2",
        (1, "resid_post"): "own c2",
        (2, "resid_post"): "last path",
    }
    holds |= {(0, "attn_out"): "own c2", (2, "attn_out"): "last path"}
    for row in patches.itertuples():
        group = holds.get((row.layer, row.site))
        is_there = row.token_group == group or (row.token_group == "own, all" and group == "own c2")
        expected = row.metric_corrupted if is_there else row.metric_clean
        assert row.metric_patched == pytest.approx(expected, abs=1e-3), row


def test_every_place_and_group_that_can_matter_is_measured(of_c2):
    _, patches = of_c2
    for (layer, site), here in patches.groupby(["layer", "site"]):
        groups = (
            {"own c1", "own c2"}
            if site == "resid_pre"
            else {"last path"}
            if layer == 2
            else set(TOKEN_GROUPS)
        )
        assert set(here.token_group) == groups
    assert len(patches.groupby(["layer", "site"])) == 1 + 3 * 3
    # A group that a pair lacks has no rows of it.
    whole = patches[(patches.layer == 0) & (patches.site == "attn_out")]
    assert (
        set(whole[whole.token_group == "later c2"].pair)
        == set(whole[whole.nth < 7].pair)
        != set(whole.pair)
    )
    assert (
        set(whole[whole.token_group == "earlier path"].pair)
        == set(whole[whole.n_common > 1].pair)
        != set(whole.pair)
    )


@pytest.mark.parametrize("encoding", ["learned", "rotary"])
def test_attribution_is_exact_where_the_model_is_linear(encoding):
    _, patches = frames(linear(encoding), MIXED)
    change = patches.metric_clean - patches.metric_patched
    assert np.allclose(patches.attribution, change, atol=1e-3)
    assert change.abs().max() > 0.1
    # What the groups of one place change adds up to the whole difference between the runs.
    sums = (
        patches.assign(change=change)[~patches.token_group.isin(JOINT)]
        .groupby(["layer", "site", "pair"])
        .agg({"change": "sum", "metric_clean": "first"})
    )
    span = patches.groupby("pair").apply(
        lambda rows: (rows.metric_clean - rows.metric_corrupted).iloc[0], include_groups=False
    )
    for place in ((0, "resid_pre"), (0, "resid_post"), (1, "resid_post"), (2, "resid_post")):
        assert np.allclose(sums.loc[place].change, span.loc[sums.loc[place].index], atol=1e-3)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_patches_are_what_edits_of_the_whole_model_do(encoding):
    """The short cuts (one block read for all groups, then the blocks after it) change nothing."""
    model = tiny(encoding, d_vocab=len(VOCABULARY), n_ctx=N_POS)
    some = MIXED[MIXED.mazes.n_connections == 7][:3]
    assert len(some) == 3
    subject = Subject(model, some.mazes, 5, 1000)
    rows, found = patch(subject, some), {}
    for row in rows.patches:
        found[row.pair, row.layer, row.site, row.token_group] = row.metric_patched
    pairs = read_pairs(some, subject.rng("patching"))
    clean, corrupted, groups = (
        torch.from_numpy(x) for x in (pairs.clean, pairs.corrupted, pairs.groups)
    )
    at = (torch.arange(3), torch.from_numpy(pairs.last))

    def metric(logits):
        chosen = logits[at].gather(1, torch.from_numpy(pairs.towards))
        return (chosen[:, 0] - chosen[:, 1]).tolist()

    for layer, site in [
        (0, Site.RESID_PRE),
        *[(layer, site) for layer in (0, 1) for site in ("attn_out", "mlp_out", "resid_post")],
    ]:
        place = Place(layer, Site(site))
        other = run(model, corrupted, record=[place]).values[place]
        for group in measured_groups(layer, place.site, 2):
            here = groups[:, group, :, None]
            patched = metric(
                run(
                    model,
                    clean,
                    [Edit(place, lambda value, h=here, o=other: torch.where(h, o, value))],
                ).logits
            )
            for pair in range(3):
                key = (pair, layer, str(site), TOKEN_GROUPS[group])
                assert (key in found) == bool(here[pair].any())
                if key in found:
                    assert found[key] == pytest.approx(patched[pair], abs=1e-5), key
    logits = [run(model, tokens).logits for tokens in (clean, corrupted)]
    assert [row.metric_clean for row in rows.pairs] == pytest.approx(metric(logits[0]), abs=1e-5)
    assert [row.metric_corrupted for row in rows.pairs] == pytest.approx(
        metric(logits[1]), abs=1e-5
    )


def test_before_the_slot_nothing_differs_and_in_the_embeddings_only_its_cells():
    model = tiny("alibi", d_vocab=len(VOCABULARY), n_ctx=N_POS)
    some = MIXED[MIXED.mazes.n_connections == 7]
    pairs = read_pairs(some, np.random.default_rng(0))
    places = [
        Place(layer, site)
        for layer in (0, 1)
        for site in (Site.RESID_PRE, Site.ATTN_OUT, Site.MLP_OUT, Site.RESID_POST)
    ]
    one, other = (
        run(model, torch.from_numpy(tokens), record=places).values
        for tokens in (pairs.clean, pairs.corrupted)
    )
    for place in places:
        differs = (one[place] != other[place]).any(dim=2).numpy()
        for row, nth, groups in zip(differs, pairs.nth, pairs.groups, strict=True):
            assert not row[: 1 + 4 * nth].any() and not (place != places[0] and not row.any())
            if place == places[0]:
                assert (
                    row[groups[[0, 2]].any(axis=0)].any()
                    and not row[~groups[[0, 2]].any(axis=0)].any()
                )


def test_pairs_are_spelled_alike_but_for_one_slot():
    some = MIXED[MIXED.mazes.n_connections == 6]
    original, swapped, nth = encode_alike(some, np.random.default_rng(0))
    rows = np.arange(len(some))
    assert (original.order[rows, nth] == some.removed).all() and (
        swapped.order[rows, nth] == some.added
    ).all()
    others = np.arange(6) != nth[:, None]
    assert (original.order == swapped.order)[others].all() and (
        original.is_flipped == swapped.is_flipped
    )[others].all()
    turned = (original.is_flipped != swapped.is_flipped)[~others]
    assert turned.any() and not turned.all()
    pairs = read_pairs(some, np.random.default_rng(0))
    for clean, corrupted, last, towards, n_common, swap in zip(
        pairs.clean,
        pairs.corrupted,
        pairs.last,
        pairs.towards,
        pairs.n_common,
        range(len(some)),
        strict=True,
    ):
        path, other = some.mazes.path[swap], some.swapped.path[swap]
        assert (path[:n_common] == other[:n_common]).all() and path[n_common] != other[n_common]
        assert (towards - len(SPECIALS)).tolist() == [path[n_common], other[n_common]]
        for tokens in (clean, corrupted):
            walked = VOCABULARY.text(tokens).split("<PATH_START> ")[1].split(" ")
            assert walked == [f"({c // 3},{c % 3})" for c in path[:n_common]]
            assert (
                tokens[last] == path[n_common - 1] + len(SPECIALS) and not tokens[last + 1 :].any()
            )


def test_groups_part_the_sequence_from_the_slot_on():
    groups = token_groups(5, np.array([1, 4]), np.array([3, 1]), 5 * 4 + 9 + 3)
    single = [nth for nth, name in enumerate(TOKEN_GROUPS) if name not in JOINT]
    assert (
        groups[:, single].sum(axis=1) == [[0] * 5 + [1] * 27, [0] * 17 + [1] * 13 + [0, 0]]
    ).all()
    where = {
        name: [np.flatnonzero(row).tolist() for row in groups[:, nth]]
        for nth, name in enumerate(TOKEN_GROUPS)
    }
    assert [where[name] for name in OWN] == [[[5 + k], [17 + k]] for k in range(4)]
    assert [where[name] for name in LATER] == [[[9 + k, 13 + k, 17 + k], []] for k in range(4)]
    assert [where[name] for name in FRAME] == [
        [[21]] * 2,
        [[22, 23, 24]] * 2,
        [[25, 26, 27]] * 2,
        [[28]] * 2,
    ]
    for name, parts in zip(JOINT, (OWN, LATER, FRAME), strict=True):
        assert where[name] == [
            sorted(sum((where[part][pair] for part in parts), [])) for pair in range(2)
        ]
    assert where["earlier path"] == [[29, 30], []] and where["last path"] == [[31], [29]]


def test_rows_say_which_pair_they_are_of():
    model = tiny("none", d_vocab=len(VOCABULARY), n_ctx=N_POS)
    pairs, patches = frames(model, MIXED, batch=50)
    assert pairs.pair.tolist() == list(range(len(MIXED))) and set(patches.pair) == set(pairs.pair)
    assert pairs.maze_id.tolist() == MIXED.mazes.maze_id.tolist()
    assert (pairs.removed == MIXED.removed).all() and (pairs.added == MIXED.added).all()
    assert (pairs.n_connections == MIXED.mazes.n_connections).all() and (
        pairs.nth < pairs.n_connections
    ).all()
    same = pairs.connection_set.to_numpy()[:, None] == pairs.connection_set.to_numpy()
    assert (same == (MIXED.mazes.connections[:, None] == MIXED.mazes.connections).all(axis=2)).all()
    for row, path, ends in zip(
        pairs.itertuples(), MIXED.mazes.path, MIXED.mazes.grid.ends[MIXED.removed], strict=True
    ):
        step = row.n_common - 1 + row.steps_ahead
        assert sorted(path[step : step + 2].tolist()) == sorted(ends.tolist())
    assert frames(model, MIXED, batch=50)[0].equals(pairs)


def asks_by_c1(asked: dict[int, int]) -> Transformer:
    """For each c1 (a token) in the list, one vote for the token that it asks for."""
    model = reads_c2()
    model.W_U.zero_()
    for c1, token in asked.items():
        model.W_U[1 + N_POS + len(VOCABULARY) + c1, token] += 1.0
    return model


def test_right_is_the_largest_of_all_logits_in_both_runs():
    n_found, some = 0, swaps(EIGHT_CONNECTIONS, np.random.default_rng(1), 61)
    for nth in range(len(some)):
        swap = some[nth : nth + 1]
        pairs = read_pairs(swap, stream("patching", 0))
        at = connection_positions(8, TokenClass.C1)
        c1, others = (
            [tokens[0, at[pairs.nth[0]]] for tokens in (pairs.clean, pairs.corrupted)],
            np.delete(pairs.clean[0, at], pairs.nth[0]),
        )
        if c1[0] == c1[1] or (others == c1[0]).sum() != (others == c1[1]).sum():
            continue  # the two would not be even but for the slot
        n_found += 1
        here, there = pairs.towards[0].tolist()
        both = {c1[0]: here, c1[1]: there}
        assert frames(asks_by_c1(both), swap)[0].is_right.tolist() == [True]
        assert frames(asks_by_c1({c1[0]: here}), swap)[0].is_right.tolist() == [False]
        louder = asks_by_c1(both)
        louder.W_U *= 0.5
        louder.W_U[1 + N_POS + len(VOCABULARY) + torch.arange(len(VOCABULARY)), 3] += (
            1.0  # everything asks for <ORIGIN_START>
        )
        assert frames(louder, swap)[0].is_right.tolist() == [False]
    assert n_found >= 3
