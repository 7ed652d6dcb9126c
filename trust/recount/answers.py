"""What single answers and mazes give again: the counts of the ledger, which questions an edit
affects, and the blind walker, the control of C4."""

from collections.abc import Iterator

import pandas as pd

from trust.recount.edits import Edits
from trust.recount.intervals import DIFFERENCE
from trust.recount.mazes import Lattice, unique_paths, with_added
from trust.recount.tables import COUNTS, Check, Found, Tables, counted, sums

ANSWERS = "kind pair method n_units place tokens dose origin target counts is_affected agrees"
CONDITION = ["kind", "pair", "method", "n_units", "place", "tokens", "dose"]


def answers(tables: Tables) -> Iterator[Found]:
    """Everything about adding and removing that single answers say."""
    edits = Edits.read(tables)
    rows = tables.read("interventions", "edited", ANSWERS)
    rows = rows[rows.kind.isin(["add", "remove"]) & (rows.origin >= 0)]
    yield _ledger(rows, edits.ledger)
    yield from _added(rows[rows.counts & (rows.kind == "add")], edits)


def _ledger(rows: pd.DataFrame, ledger: pd.DataFrame) -> Check:
    """Of the ledger's rows about which there are single answers, how many have their counts
    (docs/science.md#hit-and-spill)."""
    hit, other = rows.counts & rows.is_affected, rows.counts & ~rows.is_affected
    parts = (hit & rows.agrees, hit, other & ~rows.agrees, other)
    made = rows.assign(**dict(zip(COUNTS, parts, strict=True)))
    made = made.groupby(CONDITION)[list(COUNTS)].sum()
    there = ledger[ledger.split == "test"].set_index(CONDITION)[list(COUNTS)]
    both = there.join(made.add_suffix("_made"), how="inner")
    same = both[list(COUNTS)].to_numpy() == both[[f"{name}_made" for name in COUNTS]].to_numpy()
    return Check("rows of the ledger that single answers give", int(same.all(1).sum()), len(both))


def _added(rows: pd.DataFrame, edits: Edits) -> Iterator[Found]:
    """Which questions count and which are affected where a connection is added; how many of these
    the blind walker answers as predicted, and of how many others he does not take the path."""
    keys = ["pair", "origin", "target"]
    asked = rows[(rows.method == "latents") & (rows.n_units == 1)].drop_duplicates(keys)
    told = rows[(rows.method == "tokens") & rows.agrees]
    count, solved = (set(some[keys].itertuples(index=False, name=None)) for some in (asked, told))
    what = "questions that count, of those solved before and, in the prompt, after"
    yield Check(what, len(count & solved), len(count | solved))
    n_right, right, walked = 0, 0, []
    questions = dict(list(asked.groupby("pair")))
    for pair in edits.pairs.itertuples():
        lattice = Lattice.of(pair.connections)
        before, after = (
            unique_paths(lattice.near(bits))
            for bits in (pair.connections, with_added(pair.connections, pair.added))
        )
        n_right += len(before.keys() & after.keys()) == pair.n_unique
        for one in questions.get(pair.Index, asked.iloc[:0]).itertuples():
            question = one.origin, one.target
            is_known = question in before and question in after
            is_affected = is_known and before[question] != after[question]
            right += is_known and one.is_affected == is_affected
            if is_known:
                chance = lattice.blind(after[question])
                one = (chance, 1, 0.0, 0) if is_affected else (0.0, 0, 1 - chance, 1)
                walked.append((pair.cluster, *one))
    yield Check("questions that count and are affected as worked out here", right, len(asked))
    what = "pairs with as many questions of one path before and after as worked out here"
    yield Check(what, n_right, len(edits.pairs))
    total = sums(pd.DataFrame(walked, columns=["cluster", *COUNTS]), COUNTS)
    at = ("metrics", "interventions", "add", "blind_walker")
    yield counted("adds: blind walker", total, at, DIFFERENCE)
