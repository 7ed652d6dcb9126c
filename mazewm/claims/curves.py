"""Small tables of a run, stored as CSV for git and for ``dvc plots``."""

from pathlib import Path

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
