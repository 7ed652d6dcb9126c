"""The one exception a user is meant to see: its message is a whole sentence."""


class BadInput(Exception):
    """Something the user can mend: names the file or key, what was expected and what was found."""
