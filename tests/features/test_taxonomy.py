"""Planted latents get the kinds that they were planted as."""

import numpy as np
import pandas as pd
import pytest
from planted import plain_sae, trees
from scipy import sparse
from toys import looks_two_back

from mazewm.features import taxonomy
from mazewm.inference.subject import Subject
from mazewm.io.errors import BadInput
from mazewm.localize.activations import Activations, Wanted, cache, read
from mazewm.maze.tokens import DELIMITER, PATH_START, TokenClass, Vocabulary
from mazewm.model.sites import Place, Site
from mazewm.sae.quality import latents_of

PLACE, VOCABULARY = Place(0, Site.RESID_POST), Vocabulary(3)
GRID = VOCABULARY.grid


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Labelled tokens of 211 mazes, and which token each is."""
    folder = tmp_path_factory.mktemp("activations")
    subject = Subject(looks_two_back(3), trees(211), 0, 100)
    cache(folder, subject, Wanted([PLACE], list(TokenClass)))
    tokens = read(folder / str(PLACE))
    return tokens, tokens.token


@pytest.fixture(scope="module")
def facts(seen):
    return taxonomy.labels(seen[0], VOCABULARY)


def planted(seen):
    """Latent -> (kind, of, tokens on which it is on)."""
    tokens, what = seen
    at = {c: tokens.token_class == str(c) for c in TokenClass}
    cell = what - VOCABULARY.first_cell
    touches = np.array([e >= 0 and 4 in GRID.ends[e] for e in tokens.connection])
    rng = np.random.default_rng(0)
    return [
        ("connection", f"{GRID.name(3)} at c2", at["c2"] & (tokens.connection == 3)),
        ("connection", f"{GRID.name(7)} at ;", at[";"] & (tokens.connection == 7)),
        (
            "connection",
            f"{GRID.name(3)} at c2 = (1,0)",
            at["c2"] & (tokens.connection == 3) & (cell == GRID.ends[3][0]),
        ),
        ("cell", "(1,2)", cell == 5),
        ("cell", "(0,1) at path", at["path"] & (cell == 1)),
        ("cell", "touches (1,1) at <-->", at["<-->"] & touches),
        ("special", ";", what == DELIMITER),
        ("special", "<PATH_START>", what == PATH_START),
        ("special", "every c1", at["c1"]),
        ("position", "8 to 15", (tokens.position >= 8) & (tokens.position < 16)),
        ("position", "11", tokens.position == 11),
        ("position", "0 to 7 at c2", at["c2"] & (tokens.position < 8)),
        ("path", "every path", at["path"]),
        ("dense", None, rng.random(len(what)) < 0.6),
        ("dense", None, at["path"] | (rng.random(len(what)) < 0.55)),
        ("other", None, rng.random(len(what)) < 0.1),
        ("other", None, at["c2"] & np.isin(tokens.connection, [0, 5, 9])),
        ("dead", "", np.zeros(len(what), bool)),
    ]


def latents(seen):
    on = np.stack([on for _, _, on in planted(seen)], axis=1)
    return (on * np.random.default_rng(1).uniform(1, 2, on.shape)).astype(np.float32)


def test_every_kind_is_recognised(seen, facts):
    rows = taxonomy.classify("a place", "trained", latents(seen), facts)
    for row, (kind, of, on) in zip(rows, planted(seen), strict=True):
        assert row.kind == kind, row
        assert of is None or row.of == of
        assert row.density == pytest.approx(on.mean())
        if kind in taxonomy.KINDS:
            assert row.f1 == pytest.approx(1)
    assert [row.latent for row in rows] == list(range(len(rows))) and {
        (row.place, row.sae) for row in rows
    } == {("a place", "trained")}
    assert rows[-1].f1 == rows[-1].density == 0
    assert {kind for kind, *_ in planted(seen)} == {*taxonomy.KINDS, "other", "dense", "dead"}


def test_an_sae_whose_latents_are_planted(seen, facts):
    """Dimension i of the activations is latent i: the same kinds after encoding."""
    z = latents(seen)
    found = taxonomy.classify(
        "", "", latents_of(plain_sae(z.shape[1]), z.astype(np.float16)), facts
    )
    assert [row.kind for row in found] == [kind for kind, *_ in planted(seen)]


def test_faint_activity_elsewhere_is_below_the_threshold(seen, facts):
    """On everywhere at a thirtieth of its maximum: dense. On at a quarter of the tokens so faintly:
    still a connection."""
    on = planted(seen)[0][2]
    faint = np.random.default_rng(0).random(len(on)) < 0.25
    z = np.stack([np.where(on, 1.5, 0.05), np.where(on, 1.5, 0.05 * faint)], axis=1).astype(
        np.float32
    )
    rows = taxonomy.classify("", "", z, facts)
    assert [row.kind for row in rows] == ["dense", "connection"]
    assert [row.f1 for row in rows] == [1, 1] and rows[0].of == rows[
        1
    ].of == f"{GRID.name(3)} at c2"


@pytest.mark.parametrize(("share", "kind"), [(0.75, "connection"), (0.4, "other")])
def test_the_threshold_of_f1(seen, facts, share, kind):
    """On at a share of the tokens that spell the connection, and nowhere else: F1 is 2 share / (1 +
    share), 0.86 or 0.57."""
    spells = np.flatnonzero(planted(seen)[1][2])
    z = np.zeros((len(seen[1]), 1), np.float32)
    kept = spells[: round(share * len(spells))]
    z[kept] = 1
    [row] = taxonomy.classify("", "", z, facts)
    assert row.kind == kind
    assert row.f1 == pytest.approx(2 * len(kept) / (len(kept) + len(spells)))


@pytest.mark.parametrize("nth", range(len(taxonomy.KINDS) - 1))
def test_the_most_specific_wins(seen, nth):
    """One and the same tokens under two names: in whichever order they stand, the first of KINDS is
    told."""
    on = planted(seen)[0][2]
    holds = sparse.csr_matrix(np.stack([on, on], axis=1).astype(np.float32))
    for names in (taxonomy.KINDS[nth : nth + 2], taxonomy.KINDS[nth : nth + 2][::-1]):
        facts = taxonomy.Labels(pd.DataFrame({"kind": names, "of": ["left", "right"]}), holds)
        [row] = taxonomy.classify("", "", on[:, None].astype(np.float32), facts)
        assert row.kind == taxonomy.KINDS[nth]
        assert row.of == ("left" if names[0] == row.kind else "right")


def test_labels_hold_for_the_tokens_that_they_name(seen, facts):
    tokens, what = seen
    names = [f"{kind} {of}" for kind, of in zip(facts.names.kind, facts.names.of, strict=True)]
    assert len(set(names)) == len(names)
    count = dict(zip(names, np.asarray(facts.holds.sum(axis=0))[0], strict=True))
    assert (
        count["special <PATH_START>"] == 211 == count["position 0"] == count["special <PATH_END>"]
    )
    assert (
        sum(count[f"connection {GRID.name(e)} at ;"] for e in range(12))
        == trees(211).n_connections.sum()
    )
    assert (
        sum(count[f"cell ({row},{col}) at c1"] for row in range(3) for col in range(3))
        == trees(211).n_connections.sum()
    )
    assert count["cell touches (1,1) at c2"] == sum(
        count[f"connection {GRID.name(e)} at c2"] for e in range(12) if 4 in GRID.ends[e]
    )
    one, other = (count[f"connection {GRID.name(0)} at c2 = {cell}"] for cell in ("(0,0)", "(1,0)"))
    assert one + other == count[f"connection {GRID.name(0)} at c2"] and one > 0 < other
    assert "special <PADDING>" not in count, "what holds for no token is left out"
    assert set(facts.holds.data) == {1}
    assert len(what) == facts.holds.shape[0] == len(tokens.values)


def test_labels_of_few_tokens_are_left_out(seen):
    """A latent that is on at seven tokens could be theirs by chance."""
    tokens, what = seen
    rare = np.flatnonzero((tokens.token_class == "c2") & (tokens.connection == 3))
    for n, is_there in ((taxonomy.MIN_TOKENS - 1, False), (taxonomy.MIN_TOKENS, True)):
        keep = np.setdiff1d(np.arange(len(what)), rare[n:])
        facts = taxonomy.labels(Activations(*(column[keep] for column in tokens)), VOCABULARY)
        assert np.asarray(facts.holds.sum(axis=0)).min() >= taxonomy.MIN_TOKENS
        assert (f"{GRID.name(3)} at c2" in facts.names.of.tolist()) == is_there
    with pytest.raises(BadInput, match="n_held_out_mazes"):
        taxonomy.labels(Activations(*(column[:7] for column in tokens)), VOCABULARY)


def test_tokens_are_read_in_the_order_of_the_activations(seen):
    tokens, what = seen
    assert isinstance(tokens, Activations) and len(what) == len(tokens.position)
    assert (what[tokens.token_class == ";"] == DELIMITER).all() and (
        tokens.token_class[what == DELIMITER] == ";"
    ).all()
    ends = GRID.ends[tokens.connection] + VOCABULARY.first_cell
    at_c2 = tokens.token_class == "c2"
    assert (ends[at_c2] == what[at_c2][:, None]).any(axis=1).all()
