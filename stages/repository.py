"""The DVC repository of the present folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mazewm.io.errors import BadInput, in_one_line

if TYPE_CHECKING:
    from dvc.repo import Repo


@contextmanager
def opened() -> Iterator["Repo"]:
    """The repository. BadInput if the folder is none, or for what else DVC refuses, such as a
    dvc.yaml that is broken."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            yield repo
    except DvcException as error:
        raise BadInput(f"dvc: {in_one_line(error)}.") from None
