"""Claim C8: whether the model represents facts that no single token states, and whether it uses
them (docs/science.md#facts-beyond-the-input).

Where to probe (token, depth) and how to steer (fact, where, depth, dose) is chosen on validation
mazes and reported on test mazes.
"""

from typing import Any

import pandas as pd

from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.statistics import mean, paired, rounded, share
from mazewm.results import CHOOSING, for_choosing

FACTS = {"distance": "C8a", "on_path": "C8b", "toward_target": "C8c"}
STATEMENTS = {
    "distance": "the model represents how far every cell is from the target",
    "on_path": "the model represents which cells are on the path",
    "toward_target": "the model represents which end of a connection at a fork "
    "is nearer to the target",
}
MODEL_FREE = ("input", "input_pairs")  # probes of the maze itself, without a model
STEERED, CONTROLS = "given_target", ("shuffled_labels", "other_units", "random_direction")
HARD = "later"  # forks after the next step, which no edit of the next token's logits can reach


def represents(probes: pd.DataFrame, fact: str) -> Claim:
    """C8a to C8c: at the token and depth where the probe does best on validation mazes, it beats
    every control, compared by unit: an untrained model, shuffled labels, the embedding at that
    token, and linear readouts of the maze itself."""
    rows = probes[probes.fact == fact]
    own = rows[(rows.readout == "model") & (rows.depth > 0)]
    measure = f"{'R²' if fact == 'distance' else 'AUROC'} of a linear probe, mean over units"
    validation = own[own.split == CHOOSING]
    if validation.empty or not (own.split == "test").any():
        return unmeasured(FACTS[fact], STATEMENTS[fact], measure, "too few mazes to fit a probe")
    token, depth = _best_place(validation)
    test = rows[rows.split == "test"]
    here = test[(test.token == token) & (test.depth == depth)]
    scores = {str(name): part.set_index("unit").score for name, part in here.groupby("readout")}
    scores |= {name: test[test.readout == name].set_index("unit").score for name in MODEL_FREE}
    embedding = test[(test.readout == "model") & (test.token == token) & (test.depth == 0)]
    scores |= {"embedding": embedding.set_index("unit").score}
    model = scores.pop("model")
    controls = [
        Control(name, mean(score), paired(model, score))
        for name, score in scores.items()
        if len(score)
    ]
    measure += f": at {token}, depth {depth}"
    return claim(FACTS[fact], STATEMENTS[fact], measure, mean(model), controls)


def _best_place(validation: pd.DataFrame) -> tuple[str, int]:
    """The token and depth with the highest mean score over units."""
    scores = for_choosing(validation).groupby(["token", "depth"]).score.mean()
    token, depth = scores.idxmax()
    return str(token), int(depth)


def uses(steering: pd.DataFrame) -> Claim:
    """C8d: steered along a fact's mean difference among mazes with equal targets (which carries no
    information about the target), rollouts turn the other way at a later fork more often than under
    any control of equal length at the same place, among mazes that are solved unedited."""
    rows = steering[(steering.situation == HARD) & steering.solved_before]
    keys = ["fact", "where", "depth", "dose"]
    validation = rows[(rows.split == CHOOSING) & (rows.method == STEERED)]
    statement = "pushing along a fact's direction turns the path at a later fork"
    measure = "rollouts that turn as predicted"
    if validation.empty:
        return unmeasured("C8d", statement, measure, "no fork to steer at")
    best = for_choosing(validation).groupby(keys).goes_as_predicted.mean().idxmax()
    test = rows[
        (rows.split == "test")
        & (rows[keys] == pd.Series(dict(zip(keys, best, strict=True)))).all(axis=1)
    ]
    by_method = {str(name): part.set_index("example") for name, part in test.groupby("method")}
    if STEERED not in by_method:
        return unmeasured("C8d", statement, measure, "no test fork that is solved unedited")
    own = by_method[STEERED]
    controls = [
        Control(
            name,
            mean(other.goes_as_predicted, other.connection_set),
            paired(own.goes_as_predicted, other.goes_as_predicted, own.connection_set),
        )
        for name, other in by_method.items()
        if name in CONTROLS
    ]
    fact, where, depth, dose = best
    measure += f": {fact} written at {where}, depth {depth}, dose {dose:g}"
    value = mean(own.goes_as_predicted, own.connection_set)
    return claim("C8d", statement, measure, value, controls)


def probe_curves(probes: pd.DataFrame) -> pd.DataFrame:
    """Mean score over units on test mazes, with its interval, by fact, token, depth and
    readout; ``n`` is the median number of mazes of a unit."""
    rows = []
    keys = ["fact", "token", "depth", "readout"]
    for key, units in probes[probes.split == "test"].groupby(keys, sort=False):
        found = mean(units.score)
        more = {
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "n_units": found.n,
            "n": int(units.n.median()),
        }
        rows.append(dict(zip(keys, key, strict=True)) | more)
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "n_units", "n"])


def steering_curves(ledger: pd.DataFrame) -> pd.DataFrame:
    """The share of rollouts that go as predicted, on test forks solved before the edit, by
    situation, fact, where, depth and method.

    A method that was run on validation forks is shown at its best dose there (the smallest of
    equally good ones). A control is shown at the dose at which it does best on test forks, which
    favours the control."""
    solved = ledger[ledger.solved_before]
    keys = ["situation", "fact", "where", "depth", "method"]
    rows = []
    for key, mine in solved.groupby(keys):
        judged = mine[mine.split == CHOOSING]
        rates = (
            (for_choosing(judged) if len(judged) else mine[mine.split == "test"])
            .groupby("dose")
            .goes_as_predicted.mean()
        )
        test = mine[(mine.split == "test") & (mine.dose == rates.idxmax())]
        found = share(test.goes_as_predicted, test.connection_set)
        more = {
            "dose": rates.idxmax(),
            "value": found.value,
            "low": found.low,
            "high": found.high,
            "n": found.n,
        }
        rows.append(dict(zip(keys, key, strict=True)) | more)
    return pd.DataFrame(rows, columns=[*keys, "dose", "value", "low", "high", "n"])


def summary(probes: pd.DataFrame) -> dict[str, Any]:
    """The mean score over units of every readout on test mazes, by fact and readout, at the token
    and depth where the readout does best on validation mazes."""
    found: dict[str, Any] = {}
    test = probes[probes.split == "test"]
    for (fact, readout), rows in probes[probes.split == CHOOSING].groupby(["fact", "readout"]):
        token, depth = _best_place(rows)
        mine = test[(test.fact == fact) & (test.readout == readout)]
        there = mine[(mine.token == token) & (mine.depth == depth)]
        if len(there):
            found.setdefault(str(fact), {})[str(readout)] = rounded(there.score.mean())
    return found
