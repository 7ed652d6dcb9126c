"""The one exception that users are meant to see. Its message is a whole sentence."""

from reprlib import Repr

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxdict = 3, 20, 20, 20
_SHORT.maxstring, _SHORT.maxlong, _SHORT.maxother = 120, 60, 60
MOST_TOLD = 300  # letters of a value, or of another library's message


class BadInput(Exception):
    """A mistake that the user can correct. The message names the file or key, what was expected
    and what was found."""


def told(value: object) -> str:
    """A value as a message shows it: in one line, long ones in part.

    >>> told({"n": [1, 2]}), len(told("long" * 1000))
    ("{'n': [1, 2]}", 120)
    """
    try:
        shown = _SHORT.repr(value)
        return shown if len(shown) <= MOST_TOLD else f"{shown[: MOST_TOLD - 3]}..."
    except ValueError:  # Python refuses to write numbers of thousands of digits
        return f"a {type(value).__name__} too long to show"


def in_one_line(error: Exception) -> str:
    """What another library says of an error, as a part of a message; long ones in part."""
    return " ".join(str(error).split())[:MOST_TOLD].rstrip(".")
