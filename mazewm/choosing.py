"""The split on which everything is chosen, and the guard that no choice sees another."""

import pandas as pd

CHOOSING = "validation"  # the split on which heads, places, doses and sizes are chosen


def for_choosing(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, if all are of the validation split, by their column ``split``. What is chosen
    from a table that has rows of other splits, too, goes through here; RuntimeError if any row is
    of another split.

    >>> len(for_choosing(pd.DataFrame({"split": ["validation", "validation"]})))
    2
    """
    if "split" not in rows:
        raise RuntimeError("rows without the column split were to decide a choice")
    others = sorted(set(rows.split) - {CHOOSING})
    if others:
        raise RuntimeError(f"rows of the split {', '.join(others)} were to decide a choice")
    return rows
