"""Claim C8: whether the model represents facts that no single token states, and whether it uses
them (docs/science.md#facts-beyond-the-input).

Where to probe (token, depth) and how to steer (fact, where, depth, dose) is chosen on validation
mazes and reported on test mazes.
"""

from typing import Any

import pandas as pd

from mazewm.claims.statistics import NOTHING, bootstrap, rounded, share
from mazewm.claims.verdicts import Claim, claim, paired, paired_shares

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
    means = own[own.split == "validation"].groupby(["token", "depth"]).score.mean()
    kind = "R²" if fact == "distance" else "AUROC"
    if means.empty or not (own.split == "test").any():
        return claim(
            FACTS[fact],
            STATEMENTS[fact],
            f"{kind} of a linear probe",
            NOTHING,
            0.0,
            "too few mazes to fit a probe",
        )
    token, depth = means.idxmax()
    test = rows[rows.split == "test"]
    here = test[(test.token == token) & (test.depth == depth)]
    scores = {str(name): part.set_index("unit").score for name, part in here.groupby("readout")}
    scores |= {name: test[test.readout == name].set_index("unit").score for name in MODEL_FREE}
    embedding = test[(test.readout == "model") & (test.token == token) & (test.depth == 0)]
    scores |= {"embedding": embedding.set_index("unit").score}
    model = scores.pop("model")
    name = max(
        (n for n in scores if len(scores[n])), key=lambda control: float(scores[control].mean())
    )
    measure = f"{kind} of a linear probe, mean over units: at {token}, depth {depth}"
    return claim(
        FACTS[fact],
        STATEMENTS[fact],
        measure,
        paired(model, scores[name]),
        float(scores[name].mean()),
        name,
    )


def uses(steering: pd.DataFrame) -> Claim:
    """C8d: steered along a fact's mean difference among mazes with equal targets (which carries no
    information about the target), rollouts turn the other way at a later fork more often than under
    any control of equal length at the same place, among mazes that are solved unedited."""
    rows = steering[(steering.situation == HARD) & steering.solved_before]
    keys = ["fact", "where", "depth", "dose"]
    validation = rows[(rows.split == "validation") & (rows.method == STEERED)]
    statement = "pushing along a fact's direction turns the path at a later fork"
    if validation.empty:
        return claim(
            "C8d", statement, "rollouts that turn as predicted", NOTHING, 0.0, "no fork to steer at"
        )
    best = validation.groupby(keys).goes_as_predicted.mean().idxmax()
    test = rows[
        (rows.split == "test")
        & (rows[keys] == pd.Series(dict(zip(keys, best, strict=True)))).all(axis=1)
    ]
    by_method = {str(name): part.set_index("example") for name, part in test.groupby("method")}
    controls = {
        name: float(by_method[name].goes_as_predicted.mean())
        for name in CONTROLS
        if name in by_method
    }
    if STEERED not in by_method or not controls:
        return claim(
            "C8d",
            statement,
            "rollouts that turn as predicted",
            NOTHING,
            0.0,
            "no test fork that is solved unedited",
        )
    name = max(controls, key=lambda control: controls[control])
    interval = paired_shares(by_method[STEERED], by_method[name], "goes_as_predicted")
    fact, where, depth, dose = best
    measure = (
        f"rollouts that turn as predicted: {fact} written at {where}, depth {depth}, dose {dose:g}"
    )
    return claim("C8d", statement, measure, interval, controls[name], name)


def probe_curves(probes: pd.DataFrame) -> pd.DataFrame:
    """Mean score over units on test mazes, with its bootstrap interval, by fact, token, depth and
    readout; ``n`` is the median number of mazes of a unit."""
    rows = []
    keys = ["fact", "token", "depth", "readout"]
    for key, units in probes[probes.split == "test"].groupby(keys, sort=False):
        found = bootstrap(units.score.to_numpy())
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
        judged = mine[mine.split == "validation"]
        rates = (
            (judged if len(judged) else mine[mine.split == "test"])
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
    means = probes.groupby(["split", "fact", "readout", "token", "depth"]).score.mean()
    found: dict[str, Any] = {}
    for (fact, readout), by_place in (
        means.loc["validation"].groupby(["fact", "readout"]) if "validation" in means.index else ()
    ):
        place = by_place.idxmax()
        if ("test", *place) in means.index:
            found.setdefault(str(fact), {})[str(readout)] = rounded(means["test", *place])
    return found
