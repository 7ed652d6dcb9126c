"""What the commands of all stages share: common arguments, and for BadInput one sentence and a
non-zero exit code.
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mazewm.io.errors import BadInput
from mazewm.io.progress import GARBAGE_WHILE_IMPORTING, console, report

RunName = Annotated[str, typer.Argument(help="ENCODING-OBJECTIVE-SEED, such as rotary-all-0.")]
Folder = Annotated[Path, typer.Option()]


def command(main: Callable[..., None]) -> Callable[[], None]:
    """``main`` as a command-line program that reports its progress. BadInput is printed as one
    sentence and ends it with exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)

    def program() -> None:
        gc.set_threshold(GARBAGE_WHILE_IMPORTING)
        try:
            report.start()
            app()
        except BadInput as error:
            console.print(f"error: {error}", style="red", highlight=False, markup=False)
            sys.exit(1)
        finally:
            report.stop()

    return program
