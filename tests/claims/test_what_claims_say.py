"""What each claim of a run says: the same as on the page of the claims, whether or not it is
measured; and what it stands beside."""

from pathlib import Path

import pytest
from planted import run_tables

from mazewm.claims import capacity, causal, circuits, frame, planning, readers, verdicts, world
from mazewm.claims.edits import Edits
from mazewm.claims.run import score_run

PAGE = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
TABLES = run_tables()
HERE = str(TABLES.site)

ONE_OTHER_UNIT = ["frozen decoder, 1 units", "untrained model, 1 units"]
ONE_OTHER_UNIT += ["residual dimensions, 1 units", "random direction", "other connection, 3 units"]
ONE_OTHER_UNIT += ["none", "the blind walker"]
READERS = ["embedding", "input", "input_pairs", "shuffled_labels", "untrained_model"]
CONTROLS = {
    "W1a": [
        *("the blind walker", "the near-sighted walker", "the random walker"),
        "an untrained model",
    ],
    "W1c": [
        *("the blind walker", "the near-sighted walker", "the random walker"),
        *("a walker who looks two steps ahead", "a random walker who looks two steps ahead"),
        "an untrained model",
    ],
    "W1b": ["a walker who ignores walls, by definition", "an untrained model"],
    "C1": [
        *(f"best of 3 draws of {name}" for name in ("shuffled labels", "frozen decoder")),
        *(f"best of 3 draws of {name}" for name in ("untrained model", "neurons")),
    ],
    "C2": ["all other heads", "as many heads at random"],
    "C2b": ["all other edges", "as many edges at random"],
    "C2c": [
        *("mentions of each cell", "mentions of each cell, by boosted trees"),
        *("untrained model", "embedding"),
    ],
    "C2d": ["random direction", "the blind walker"],
    "C3a": ["chance, by counting", "the block's other heads"],
    "C3b": ["without the block's other heads"],
    "C3c": ["a third connection's latents", "units of the frozen decoder", "random direction"],
    "C3d": ["all other heads", "no head: the token itself"],
    "C4a": ONE_OTHER_UNIT,
    "C4b": ONE_OTHER_UNIT,
    "C4c": [
        *("add only, 1 units", "remove only, 1 units", "add and random, 1 units"),
        *("random direction", "none"),
    ],
    "C4d": ["frozen decoder, 3 units", "untrained model, 3 units", "residual dimensions, 3 units"],
    "C4e": ["equal lengths"],
    "C5": [
        f"no difference, by the convention {name}"
        for name in ("raw", "net of a random direction", "at dose 1", "in beliefs")
    ],
    "C5c": ["the same, removing"],
    "C5d": ["the same, where connections are added"],
    "C6a": ["random direction", "no edit", "the blind walker"],
    "C6b": ["as tokens", "the advantage over tokens within training"],
    "C6c": ["the most in training", "with random directions", "the blind walker"],
    "C8a": READERS,
    "C8b": READERS,
    "C8c": READERS,
    "C8d": ["other_units", "random_direction", "shuffled_labels"],
    "C9": ["probe direction"],
}


@pytest.fixture(scope="module")
def said():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mazewm.claims.statistics.N_RESAMPLES", 199)  # intervals are not looked at
        return {one.id: one for one in score_run(TABLES, 0.5).claims}


def on_the_page(id):
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {id} ")]
    return row.split(" | ")[0].removeprefix(f"| {id} ")


def test_claims_say_what_the_page_says(said):
    assert {id: one.statement for id, one in said.items()} == {id: on_the_page(id) for id in said}


def test_what_claims_stand_beside(said):
    for id, one in said.items():
        assert sorted(control.name for control in one.controls) == sorted(CONTROLS[id]), id
    assert set(said) == set(CONTROLS)


def edits(*kinds, without=""):
    book = TABLES.ledger
    book = book[book.kind.isin(kinds) & (book.method != without)]
    return Edits(book, TABLES.pairs, TABLES.writing_site)


@pytest.mark.parametrize(
    ("id", "of", "reason"),
    [
        (
            "W1a",
            lambda: world.answers_take_more_than_walls(TABLES.answers.assign(n_telling=0)),
            "there is no such question",
        ),
        (
            "C2",
            lambda: circuits.binds_the_cells(TABLES.binding.head(0), HERE),
            "no head brings the first cell there, or none is less than half",
        ),
        (
            "C2b",
            lambda: circuits.is_a_circuit(circuits.Edges(TABLES.edges.head(0)), TABLES.circuit),
            "no pair is read right in both runs",
        ),
        (
            "C2c",
            lambda: frame.holds_the_maze(TABLES.whole.head(0)),
            "too few mazes to fit a probe",
        ),
        (
            "C2d",
            lambda: frame.writes_there(TABLES.frame.head(0)),
            "no question tells the twins apart",
        ),
        (
            "C3a",
            lambda: verdicts.directions_agree(TABLES.ov_consistency.head(0), HERE),
            "no binding head",
        ),
        (
            "C3b",
            lambda: verdicts.knockout_is_specific(TABLES.knockouts.head(0), HERE),
            "no binding head to ablate",
        ),
        (
            "C3c",
            lambda: readers.reads_alike(TABLES.readers.head(0), HERE),
            "connections are read after the last block, or no pair is read right",
        ),
        (
            "C3d",
            lambda: circuits.predicts_latents(TABLES.predictions.head(0), HERE),
            "no binding head, or no latent of a connection",
        ),
        (
            "C5c",
            lambda: causal.adding_needs_the_direction(
                edits("add", "remove", without="random_direction")
            ),
            "no random direction of dose 1 to add connections",
        ),
        (
            "C6a",
            lambda: capacity.holds_more(edits("add"), TABLES.most),
            "there is no such corridor",
        ),
        (
            "C6b",
            lambda: capacity.fails_as_tokens(edits("add"), TABLES.most),
            "there is no such corridor",
        ),
        (
            "C6c",
            lambda: capacity.believes_more(edits("add"), TABLES.most),
            "no connection could be added",
        ),
        *(
            (
                id,
                lambda fact=fact: planning.represents(TABLES.probes.head(0), fact),
                "too few mazes to fit a probe",
            )
            for fact, id in planning.FACTS.items()
        ),
        ("C8d", lambda: planning.uses(TABLES.steering.head(0)), "no fork to steer at"),
    ],
)
def test_a_claim_says_the_same_without_data(said, id, of, reason):
    found, measured = of(), said[id]
    assert (found.id, found.verdict, found.reason) == (id, "unmeasured", reason)
    assert found.statement == measured.statement
    assert len(found.measure) > 20 and measured.measure.startswith(found.measure)
