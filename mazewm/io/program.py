"""Programs for the command line that say what was wrong with their input in one sentence."""

import re
import sys
from collections.abc import Callable
from typing import NoReturn

from mazewm.io.errors import BadInput, in_one_line
from mazewm.io.progress import console, report

# of torch, on the CPU and on a GPU
NO_MEMORY = re.compile("(can't allocate|not enough|out of) memory", re.IGNORECASE)


def run(app: Callable[[], object]) -> None:
    """Call ``app`` (a typer application) and report its progress. BadInput is printed as one
    sentence and ends the process with exit code 1, and so is an OSError, such as a full disk or a
    file that may not be read, and a want of memory."""
    try:
        report.start()
        app()
    except BadInput as error:
        _end(str(error))
    except OSError as error:
        _end(f"{error.filename or 'a file'}: {error.strerror or in_one_line(error)}.")
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not NO_MEMORY.search(str(error)):
            raise
        _end(f"memory: expected more of it ({in_one_line(error)}).")
    finally:
        report.stop()


def _end(sentence: str) -> NoReturn:
    console.print(f"error: {sentence}", style="red", highlight=False, markup=False)
    sys.exit(1)
