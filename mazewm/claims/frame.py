"""Claims C2c and C2d: whether a token after the list holds the whole maze, and whether a connection
can be written there (docs/science.md#whole-maze).

Tokens, depth and dose are chosen on validation mazes and reported on test mazes.
"""

from typing import Any

import pandas as pd

from mazewm.choosing import CHOOSING
from mazewm.claims import explained
from mazewm.claims.claim import Claim, Control, claim, of_reading, unmeasured
from mazewm.claims.edits import gap, hits, selectivity, spills
from mazewm.claims.explained import best_place, can_choose
from mazewm.claims.statistics import contrast, rounded
from mazewm.localize.selectivity import totals
from mazewm.planning.frame_writing import OWN, RANDOM
from mazewm.planning.inputs import NO_DEPTH, NO_TOKEN
from mazewm.planning.mentions import BOOSTED, MENTIONS

PLACE = ["token", "depth"]
WITHOUT_MODEL = {
    MENTIONS: "mentions of each cell",
    BOOSTED: "mentions of each cell, by boosted trees",
}


def _at(rows: pd.DataFrame, token: str, depth: int) -> pd.DataFrame:
    here = rows[(rows.split == "test") & (rows.token == token) & (rows.depth == depth)]
    return here.set_index("maze_id").sort_index()


def holds_the_maze(whole: pd.DataFrame) -> Claim:
    """C2c: at one token after the list a linear probe tells which cells are connected better than
    a linear or a boosted reader does from how often the list mentions each cell, than a probe of an
    untrained model (where that is read best), and than one of the token's embedding."""
    statement = "one token after the list tells more than how often it mentions each cell"
    measure = "explained variance of a linear probe for each connection"
    by_readout = {str(name): rows for name, rows in whole.groupby("readout")}
    if not (whole.split == "test").any() or not can_choose(whole[whole.split == CHOOSING]):
        return unmeasured("C2c", statement, measure, "too few mazes to fit a probe")
    inside = {
        name: best_place(rows[(rows.split == CHOOSING) & (rows.depth > 0)])
        for name, rows in by_readout.items()
        if name not in WITHOUT_MODEL
    }
    token, depth = inside["model"]
    own = _at(by_readout["model"], token, depth)
    others = {
        **{
            name: _at(by_readout[readout], NO_TOKEN, NO_DEPTH)
            for readout, name in WITHOUT_MODEL.items()
        },
        "untrained model": _at(by_readout["untrained_model"], *inside["untrained_model"]),
        "embedding": _at(by_readout["model"], token, 0),
    }
    controls = [
        Control(name, explained.value_of(rows), explained.gap(own, rows))
        for name, rows in others.items()
    ]
    measure += f": at {token}, depth {depth}"
    return of_reading(claim("C2c", statement, measure, explained.value_of(own), controls))


def _written(frame: pd.DataFrame, tokens: str, method: str) -> pd.DataFrame:
    """What was written on test mazes, a row for each pair."""
    mine = frame[(frame.split == "test") & (frame.tokens == tokens) & (frame.method == method)]
    return mine.set_index(["maze_id", "connection"]).sort_index()


def writes_there(frame: pd.DataFrame) -> Claim:
    """C2d: a connection written at tokens after the list changes the answers as predicted more than
    a random push there, and than a walker who ignores walls would seem to."""
    statement = "a connection can be written at the tokens after the list"
    measure = "selectivity of the mean difference"
    mine = frame[(frame.split == CHOOSING) & (frame.method == OWN)]
    if mine.empty or not (frame.split == "test").any() or not mine.n_affected.sum():
        return unmeasured("C2d", statement, measure, "no question tells the twins apart")
    sums = totals(mine, ["tokens", "depth", "dose"])
    tokens = str(sums.tokens[sums.selectivity.idxmax()])
    own = _written(frame, tokens, OWN)
    walker = own.assign(n_hit=own.blind, n_spill=own.blind_spill)
    others = {
        "random direction": _written(frame, tokens, RANDOM),
        "the blind walker": walker,
    }
    controls = [
        Control(name, selectivity(rows).interval, gap(own, rows)) for name, rows in others.items()
    ]
    depth, dose = int(own.depth.iloc[0]), float(own.dose.iloc[0])
    measure += f": at {tokens}, depth {depth}, dose {dose:g}"
    return claim("C2d", statement, measure, selectivity(own).interval, controls)


def whole_curve(whole: pd.DataFrame) -> pd.DataFrame:
    """The explained variance on test mazes of every readout at every token and depth, with
    intervals."""
    rows = list[dict[str, Any]]()
    for key, mine in whole[whole.split == "test"].groupby(["readout", *PLACE], sort=False):
        found = explained.value_of(mine, n_resamples=1000)
        rows.append(dict(zip(["readout", *PLACE], key, strict=True)) | found._asdict())
    return pd.DataFrame(rows, columns=["readout", *PLACE, "value", "low", "high", "n"])


def written_curve(frame: pd.DataFrame) -> pd.DataFrame:
    """What every write did on test mazes: hit and spill, and the selectivity with its interval."""
    keys, rows = ["tokens", "method", "depth", "dose"], list[dict[str, Any]]()
    for key, mine in frame[frame.split == "test"].groupby(keys, sort=False):
        found = selectivity(mine).interval
        parts = {
            name: contrast([of(mine)], [], mine.connection_set).value
            for name, of in {"hit": hits, "spill": spills}.items()
        }
        rows.append(dict(zip(keys, key, strict=True)) | parts | found._asdict())
    return pd.DataFrame(rows, columns=[*keys, "hit", "spill", "value", "low", "high", "n"])


def summary(read: pd.DataFrame, written: pd.DataFrame) -> dict[str, Any]:
    """From the tables of ``whole_curve`` and ``written_curve``, for a description: the explained
    variance at each token where it is largest, that of the readers of mentions, and the selectivity
    of each set of tokens."""
    tokens = read[(read.readout == "model") & (read.depth > 0)].groupby("token", sort=False)
    told = read[read.readout.isin(WITHOUT_MODEL)].set_index("readout").value
    own = written[written.method == OWN]
    return {
        "read": {str(name): rounded(rows.value.max()) for name, rows in tokens}
        | {str(name): rounded(value) for name, value in told.items()},
        "written": {str(row.tokens): rounded(row.value) for row in own.itertuples()},
    }
