"""Programs for the command line that say what was wrong with their input in one sentence."""

import sys
from collections.abc import Callable

from mazewm.io.errors import BadInput
from mazewm.io.progress import console, report


def run(app: Callable[[], object]) -> None:
    """Call ``app`` (a typer application) and report its progress. BadInput is printed as one
    sentence and ends the process with exit code 1."""
    try:
        report.start()
        app()
    except BadInput as error:
        console.print(f"error: {error}", style="red", highlight=False, markup=False)
        sys.exit(1)
    finally:
        report.stop()
