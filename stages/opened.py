"""The project as DVC knows it, for stages that ask DVC in this process; its errors as sentences."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mazewm.io.errors import BadInput

if TYPE_CHECKING:
    from dvc.repo import Repo


@contextmanager
def opened(folder: str = ".") -> Iterator["Repo"]:
    """DVC's view of the project in a folder. Where a method of it needs DVC's lock, it waits for
    other calls of DVC. BadInput for what DVC refuses, such as a params.yaml, dvc.yaml or dvc.lock
    that cannot be read."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        # the argument behind DVC's own option --wait-for-lock
        with Repo(folder, _wait_for_lock=True) as repo:
            yield repo
    except DvcException as error:
        raise BadInput(f"dvc: {_sentence(error)}") from None


def _sentence(error: Exception) -> str:
    """The first line of a message, with the line of the file if the error knows it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = (lines or [type(error).__name__])[0].rstrip(".:")
    mark = getattr(error.__cause__, "problem_mark", None)
    return f"{said}, at line {mark.line + 1}." if mark else f"{said}."
