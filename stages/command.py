"""What every stage's command has in common: one sentence and a non-zero exit for bad input, and a progress bar."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mazewm.errors import BadInput

console = Console(stderr=True, soft_wrap=True)

Name = Annotated[str, typer.Option()]
Seed = Annotated[int, typer.Option()]
Location = Annotated[Path, typer.Option()]


def command(main: Callable[..., None]) -> Callable[[], None]:
    """``main`` as a program."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)

    def program() -> None:
        try:
            app()
        except BadInput as error:
            console.print(f"error: {error}", style="red", highlight=False, markup=False)
            sys.exit(1)

    return program


def progress_bar() -> Progress:
    """A bar with a free text beside it and the time that is left."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f}%"), TimeRemainingColumn(), console=console
    )
