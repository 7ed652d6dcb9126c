"""Claim C8: whether the model represents facts that no single token states, and whether it uses
them (docs/science.md#facts-beyond-the-input).

Where to probe (token, depth) and how to steer (fact, where, depth, dose) is chosen on validation
mazes and reported on test mazes.
"""

from typing import Any

import pandas as pd

from mazewm.choosing import CHOOSING, for_choosing
from mazewm.claims.claim import Claim, Control, claim, of_reading, unmeasured
from mazewm.claims.explained import best_place, can_choose, gap, value_of
from mazewm.claims.statistics import mean, paired, rounded, share
from mazewm.planning.facts import STEPS

FACTS = {"distance": "C8a", "on_path": "C8b", "toward_target": "C8c"}
STATEMENTS = {
    "distance": "the model represents how far every cell is from the target",
    "on_path": "the model represents which cells are on the path",
    "toward_target": "the model represents which end of a connection at a fork "
    "is nearer to the target",
}
MODEL_FREE = ("input", "input_pairs")  # probes of the maze itself, without a model
STEERED = "given_target"
CONTROLS = ("shuffled_labels", "other_units", "other_units_given_target", "random_direction")
HARD = "later"  # forks after the next step, which no edit of the next token's logits can reach


def represents(probes: pd.DataFrame, fact: str) -> Claim:
    """C8a to C8c: at the token and depth where the probe does best on validation mazes, it beats
    every control on the same mazes: an untrained model, shuffled labels, the embedding at that
    token, and linear readers of the maze itself, which were fitted on more mazes."""
    rows = probes[probes.fact == fact]
    own = rows[(rows.readout == "model") & (rows.depth > 0)]
    measure = "explained variance of a linear probe"
    validation = own[own.split == CHOOSING]
    if not can_choose(validation) or not (own.split == "test").any():
        return unmeasured(FACTS[fact], STATEMENTS[fact], measure, "too few mazes to fit a probe")
    token, depth = best_place(validation)
    test = rows[rows.split == "test"].set_index("maze_id")
    here = test[(test.token == token) & (test.depth == depth)]
    readouts = {str(name): part for name, part in here.groupby("readout")}
    readouts |= {name: test[test.readout == name] for name in MODEL_FREE}
    embedded = (test.readout == "model") & (test.token == token) & (test.depth == 0)
    readouts |= {"embedding": test[embedded]}
    model = readouts.pop("model")
    controls = [
        Control(name, value_of(part), gap(model, part))
        for name, part in readouts.items()
        if len(part)
    ]
    measure += f": at {token}, depth {depth}"
    return of_reading(claim(FACTS[fact], STATEMENTS[fact], measure, value_of(model), controls))


def uses(steering: pd.DataFrame) -> Claim:
    """C8d: steered along a fact's mean difference among mazes with equal targets (which carries no
    information about the target), rollouts turn the other way at a later fork more often than under
    any control of equal length per dose at the same place, each at its own best dose, among mazes
    that are solved unedited. The fact is the one that does best on validation mazes."""
    rows = steering[(steering.situation == HARD) & steering.solved_before]
    validation = rows[(rows.split == CHOOSING) & (rows.method == STEERED)]
    statement = "pushing along a fact's direction turns the path at a later fork"
    measure = "rollouts that turn as predicted"
    if validation.empty:
        return unmeasured("C8d", statement, measure, "no fork to steer at")
    keys = ["fact", "where", "depth", "dose"]
    fact = for_choosing(validation).groupby(keys).goes_as_predicted.mean().idxmax()[0]
    test = rows[(rows.split == "test") & (rows.fact == fact)]
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
    place = own.iloc[0]
    measure += f": {fact} written at {place['where']}, depth {place.depth}, dose {place.dose:g}"
    value = mean(own.goes_as_predicted, own.connection_set)
    return claim("C8d", statement, measure, value, controls)


def probe_curves(probes: pd.DataFrame) -> pd.DataFrame:
    """Explained variance on test mazes, with its interval, by fact, token, depth and readout; ``n``
    is the number of connection sets."""
    rows = []
    keys = ["fact", "token", "depth", "readout"]
    for key, mine in probes[probes.split == "test"].groupby(keys, sort=False):
        found = value_of(mine, n_resamples=500)
        rows.append(dict(zip(keys, key, strict=True)) | found._asdict())
    return pd.DataFrame(rows, columns=[*keys, "value", "low", "high", "n"])


def step_curve(probes: pd.DataFrame) -> pd.DataFrame:
    """Explained variance on test mazes of every step k of a search from the target, by readout and
    depth, at the token where that readout does best at this depth on validation mazes."""
    rows = []
    steps = probes[probes.fact.isin(STEPS)]
    for (fact, readout, depth), mine in steps.groupby(["fact", "readout", "depth"], sort=False):
        validation = mine[mine.split == CHOOSING]
        if can_choose(validation):
            token, _ = best_place(validation)
            test = mine[(mine.split == "test") & (mine.token == token)]
            found = value_of(test, n_resamples=1000)
            columns = {"k": STEPS.index(fact) + 1, "readout": readout, "depth": depth}
            rows.append(columns | {"token": token} | found._asdict())
    names = ["k", "readout", "depth", "token", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=names)


def steering_curves(ledger: pd.DataFrame) -> pd.DataFrame:
    """The share of rollouts that go as predicted, among forks solved before the edit, by split,
    situation, fact, where, depth and method. On validation forks at the best dose there; on test
    forks only where, and at the dose, that was chosen there."""
    solved = ledger[ledger.solved_before]
    keys = ["split", "situation", "fact", "where", "depth", "method"]
    rows = []
    for key, mine in solved.groupby(keys):
        best = mine.groupby("dose").goes_as_predicted.mean().idxmax()
        here = mine[mine.dose == best]
        found = share(here.goes_as_predicted, here.connection_set)
        rows.append(dict(zip(keys, key, strict=True)) | {"dose": best} | found._asdict())
    return pd.DataFrame(rows, columns=[*keys, "dose", "value", "low", "high", "n"])


def summary(probes: pd.DataFrame, steps: pd.DataFrame) -> dict[str, Any]:
    """The explained variance of every readout on test mazes, by fact and readout, at the token and
    depth where the readout does best on validation mazes; of ``steps``, the table of
    ``step_curve``, the largest over depths."""
    found: dict[str, Any] = {}
    facts = probes[probes.fact.isin(FACTS)]
    test = facts[facts.split == "test"]
    for (fact, readout), rows in facts[facts.split == CHOOSING].groupby(["fact", "readout"]):
        token, depth = best_place(rows)
        mine = test[(test.fact == fact) & (test.readout == readout)]
        there = mine[(mine.token == token) & (mine.depth == depth)]
        if can_choose(there):
            value = 1 - there.sse.sum() / there.sst.sum()
            found.setdefault(str(fact), {})[str(readout)] = rounded(value)
    for (k, readout), rows in steps.groupby(["k", "readout"], sort=False):
        found.setdefault(STEPS[int(k) - 1], {})[str(readout)] = rounded(rows.value.max())
    return found
