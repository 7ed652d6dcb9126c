"""Steering a model whose next cell is read from known directions."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from circuits.planted_circuit import trees
from planning.planted_mazes import COMB, CROSSROADS
from toys import batch, walk_alone, wanderer

from mazewm.counterfactuals.forks import Forks, forks
from mazewm.inference.behaviour import judge
from mazewm.inference.edits import add_at
from mazewm.io import tables
from mazewm.maze.tokens import PATH_END, Vocabulary, encode
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.planning import choosing, errors, steering
from mazewm.planning.facts import FACTS
from mazewm.planning.probes import Directions
from mazewm.planning.reading import LAST
from mazewm.planning.steering import (
    OF_OTHER_UNITS,
    OTHERS,
    STEERED,
    Condition,
    Reader,
    Steering,
    SteerRow,
)

METHODS = (STEERED, *OTHERS)

CELLS, D = 9, 211
NEXT = {1: 4, 4: 5, 5: 8}  # the shortest path of CROSSROADS


def walker() -> Transformer:
    """No attention: each token of CROSSROADS's path says in dimension ``cell`` where to go next."""
    vocabulary = Vocabulary(3)
    model = Transformer(
        TransformerParams(n_layers=2, d_model=D, n_heads=1, d_mlp=2),
        "none",
        len(vocabulary),
        vocabulary.max_length,
    )
    model.silence()
    with torch.no_grad():
        model.W_E.zero_(), model.W_U.zero_()
        model.W_U[:CELLS, vocabulary.first_cell :] = torch.eye(CELLS)
        model.W_U[CELLS, PATH_END] = 1
        model.W_E[vocabulary.first_cell + 8, CELLS] = 1
        for cell, after in NEXT.items():
            model.W_E[vocabulary.first_cell + cell, after] = 1
    return model.eval().requires_grad_(False)


def planted_directions() -> dict[tuple[str, str, int], Directions]:
    """For cells: the dimension from which a cell is read. For connections: nothing known."""
    cells, control = np.eye(CELLS, D), np.eye(CELLS, D, k=100)
    of_cells = Directions(cells, control, 2 * cells, cells, np.ones(CELLS, bool))
    none = np.zeros((12, D))
    of_connections = Directions(none, none, none, none, np.zeros(12, bool))
    return {
        (fact, token, depth): of_connections if fact == "toward_target" else of_cells
        for fact in FACTS
        for token in LAST
        for depth in (0, 1, 2)
    }


def steered(situation: str, split: str = "test", dose: float = 1.5) -> pd.DataFrame:
    mazes = batch(*[CROSSROADS] * 7)
    chosen = forks(mazes, situation, np.random.default_rng(0), 5)
    wanted = steering.conditions(steering.places(situation, 2), METHODS, [dose])
    return Steering(walker(), planted_directions(), 0, 3).steer(chosen, split, wanted)


def test_the_next_cell_follows_its_direction_and_no_control():
    rows = steered("first")
    # examples, facts, methods; depths 1 and 2 at the origin, 1 at the target
    assert len(rows) == 5 * 2 * 7 * (2 + 1)
    assert rows.solved_before.all() and set(rows.fact) == {"distance", "on_path"}
    went = rows.groupby(["where", "method"]).goes_as_predicted.mean().unstack()
    assert (went.loc["origin", ["probe", "mean_difference", "given_target"]] == 1).all()
    controls = ["shuffled_labels", *OF_OTHER_UNITS, "random_direction"]
    assert (went.loc["origin", controls] == 0).all()
    assert (went.loc["target"] == 0).all()
    kept = rows[(rows["where"] == "target") | (rows.method == "shuffled_labels")]
    assert kept.keeps_original.all() and [list(cells) for cells in kept.measured] == [[4]] * len(
        kept
    )


def test_a_small_dose_does_not_turn_it():
    rows = steered("first", dose=0.2)
    assert rows.keeps_original.all() and not rows.goes_as_predicted.any()


def test_without_attention_nothing_reaches_a_later_fork():
    rows = steered("later")
    assert set(rows.depth) == {1} and set(rows.fork) == {4} and set(rows.predicted_cell) == {3}
    at_target = rows[rows["where"] == "target"]
    assert at_target.keeps_original.all() and [list(cells) for cells in at_target.measured] == [
        [4, 5]
    ] * len(at_target)


def test_outcomes_by_hand():
    chosen = Forks(
        "later",
        batch(COMB, COMB, COMB, COMB),
        np.array([1, 2, 1, 1]),
        np.array([4, 5, 4, 4]),
        np.array([2, 3, 2, 2]),
    )
    measured = np.array([[1, 2, 0], [1, 4, 3], [1, 4, 5], [3, 2, 0]])
    as_predicted, as_before = steering.outcomes(chosen, measured)
    assert as_predicted.tolist() == [True, True, False, False]
    assert as_before.tolist() == [False, False, True, False]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_writes_the_same_length(method):
    chosen = forks(batch(*[CROSSROADS] * 5), "first", np.random.default_rng(0), 5)
    condition = Condition("on_path", "origin", 1, method, 3.0)
    delta, known = steering.deltas(
        chosen, condition, planted_directions(), np.random.default_rng(1)
    )
    assert delta.shape == (5, 2, D) and known.all()
    assert np.allclose(np.linalg.norm(delta, axis=2), 3 * 2 * 2**0.5)


def test_a_connection_speaks_for_the_end_away_from_the_fork():
    # at 4: exit 5, other 3
    [chosen] = [forks(batch(CROSSROADS), "later", np.random.default_rng(0), 5)]
    rng, number = np.random.default_rng(0), chosen.mazes.grid.connection_of
    arrows = rng.standard_normal((12, D))
    known = {
        ("toward_target", token, 1): Directions(*[arrows] * 4, np.ones(12, bool)) for token in LAST
    }
    delta, _ = steering.deltas(
        chosen, Condition("toward_target", "target", 1, "mean_difference", 2.0), known, rng
    )
    # Both second ends, 4 and 5, are to be farther: away from 5 against its connection's sign,
    # towards 3 against its own.
    assert np.allclose(delta[0, 0], 2 * (-arrows[number[3, 4]] - arrows[number[4, 5]]))


@pytest.mark.parametrize(
    ("encoding", "layer", "where"),
    [
        *(
            (encoding, layer, "origin")
            for encoding in ("learned", "rotary", "alibi")
            for layer in (0, 1)
        ),
        ("learned", 0, "target"),
        ("alibi", 0, "target"),
    ],
)
def test_a_steered_walk_is_the_rollout_of_the_whole_prompt_under_the_edit(encoding, layer, where):
    """Written token by token, with the edit in every forward pass."""
    model, mazes = wanderer(encoding), trees(401)
    chosen = forks(mazes[mazes.n_connections == 8], "later", np.random.default_rng(0), 7)
    assert len(chosen) == 7
    reader = Reader(model, chosen, np.random.default_rng(5))
    encoded = encode(chosen.mazes, np.random.default_rng(5))
    # the origin, the first token of the path, is given
    prompts = encoded.tokens[:, : encoded.prompt.shape[1] + 1]
    n, place = prompts.shape[1], Place(layer, Site.RESID_POST)
    arrow = np.random.default_rng(0).standard_normal((7, 2, model.params.d_model)) * 10
    at = torch.tensor([[n - 4 + nth for nth in steering.WHERE[where]]])
    [plain, steered] = [
        np.array(
            [
                walk_alone(
                    model,
                    prompt,
                    [add_at(place, at, lambda _, nth=nth: torch.from_numpy(arrow[nth]).float())]
                    if is_steered
                    else (),
                )
                for nth, prompt in enumerate(prompts)
            ]
        )
        for is_steered in (False, True)
    ]
    none, edit = (
        partial(steering._taps, place, steering.WHERE[where], size * arrow) for size in (0, 1)
    )
    # the last walk remembers nothing of the edit
    for taps_of, expected in (
        (none, plain),
        (edit, steered),
        (none, plain),
    ):
        assert np.array_equal(reader.walk(taps_of), expected[:, : reader.n_steps])
    assert (plain != steered)[:, : reader.n_steps].any(axis=1).sum() >= (
        3 if where == "origin" else 1
    ) and len(np.unique(steered)) > 4
    judged = judge(
        chosen.mazes, np.concatenate([chosen.mazes.origin[:, None], plain], axis=1)
    ).solved
    assert np.array_equal(reader.solved, judged)


def test_an_edit_after_a_block_that_is_not_there_is_an_error():
    chosen = forks(batch(*[CROSSROADS] * 3), "first", np.random.default_rng(0), 5)
    reader = Reader(walker(), chosen, np.random.default_rng(0))
    with pytest.raises(RuntimeError, match=r"never came to 2\.resid_post"):
        reader.walk(partial(steering._taps, Place(2, Site.RESID_POST), (2, 3), np.zeros((3, 2, D))))


def test_place_and_doses_are_chosen_on_validation_forks_that_were_solved():
    # Of the fork that was not solved, the last, nothing is made: with it the probe would go for 2.
    rates = {
        ("probe", 1.0): [1, 1, 0, 0],
        ("probe", 2.0): [1, 0, 1, 1],
        ("mean_difference", 1.0): [0, 0, 0, 0],
    }
    rates |= {
        ("mean_difference", 2.0): [0, 1, 1, 1],
        ("given_target", 2.0): [0, 0, 1, 1],
        ("given_target", 1.0): [0, 0, 0, 0],
    }
    rows = [
        {
            "split": "validation",
            "situation": "first",
            "fact": "on_path",
            "where": "origin",
            "depth": 1,
            "method": method,
            "dose": dose,
        }
        | {"goes_as_predicted": bool(went), "solved_before": nth < 3}
        for (method, dose), outcomes in rates.items()
        for nth, went in enumerate(outcomes)
    ]
    table = pd.DataFrame(rows)
    ledger = pd.concat(
        [
            table,
            table.assign(depth=2, goes_as_predicted=table.method == "probe"),
            table.assign(where="target", goes_as_predicted=False),
        ]
    )
    best = choosing.best_places(ledger)
    assert best == [("on_path", "origin", 1)], "where given_target does best"
    chosen = {one.method: one for one in choosing.best_doses(ledger, best)}
    assert {method: one.dose for method, one in chosen.items()} == {
        "probe": 1.0,
        "mean_difference": 2.0,
        "given_target": 2.0,
    }
    assert all(one[:3] == best[0] for one in chosen.values())
    with pytest.raises(RuntimeError, match="split test"):
        choosing.best_places(ledger.assign(split="test"))


def test_doses_are_widened_where_the_best_is_at_an_end():
    rates = {
        ("probe", 1.0): 0.1,  # best at the lower end
        ("probe", 2.0): 0.0,
        ("mean_difference", 1.0): 0.2,
        ("mean_difference", 2.0): 0.4,  # best at the upper end
        ("given_target", 0.5): 0.1,
        ("given_target", 1.0): 0.3,  # best between the ends
        ("given_target", 2.0): 0.2,
        ("random_direction", 1.0): 0.0,  # steers nothing
        ("random_direction", 2.0): 0.0,
    }
    place = {"split": "validation", "fact": "on_path", "where": "origin", "depth": 1}
    ledger = pd.DataFrame(
        [
            place
            | {"method": method, "dose": dose, "solved_before": True}
            | {"goes_as_predicted": nth < 10 * rate}
            for (method, dose), rate in rates.items()
            for nth in range(10)
        ]
    )
    beyond = choosing.further(ledger, [("on_path", "origin", 1)])
    assert {(one.method, one.dose) for one in beyond} == {("probe", 0.5), ("mean_difference", 4.0)}


def test_rows_go_to_disk_and_back(tmp_path):
    rows = steered("later")
    errors.write_rows(tmp_path / "steering.parquet", SteerRow, rows)
    again = tables.read(tmp_path / "steering.parquet", SteerRow)
    assert len(again) == len(rows) and [list(cells) for cells in again.measured] == [
        list(cells) for cells in rows.measured
    ]
    assert (again.goes_as_predicted == rows.goes_as_predicted).all()


def test_flags_stay_flags_where_one_split_has_no_forks():
    """Numbers in their place are no rows for every version of pyarrow."""
    none = steering._no_rows()
    flags = ["goes_as_predicted", "keeps_original", "solved_before"]
    some = pd.DataFrame({name: [True] for name in none.columns})
    both = pd.concat([none, some], ignore_index=True)
    assert [both[name].dtype for name in flags] == [bool] * 3
