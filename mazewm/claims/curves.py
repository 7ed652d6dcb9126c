"""Small tables of a run, stored as CSV for git and for ``dvc plots``."""

from pathlib import Path

import numpy as np
import pandas as pd

from mazewm.io.errors import BadInput


def read_curve(path: Path) -> pd.DataFrame:
    """Read a table from CSV; BadInput if the file is missing or not a table."""
    try:
        return pd.read_csv(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected a table of the run.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a table in CSV ({error}).") from None


def read_measured(path: Path) -> pd.DataFrame:
    """As ``read_curve``, of a table without gaps; BadInput also if a number is missing or not
    finite."""
    curve = read_curve(path)
    numbers = curve.select_dtypes("number")
    rows, columns = np.nonzero(~np.isfinite(numbers.to_numpy(float)))
    if len(rows):
        name, found = numbers.columns[columns[0]], numbers.iat[rows[0], columns[0]]
        raise BadInput(
            f"{path}: column {name}: expected finite numbers, found {found} in row {rows[0]}."
        )
    return curve
