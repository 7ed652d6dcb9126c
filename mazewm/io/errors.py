"""The one exception that users are meant to see. Its message is a whole sentence."""


class BadInput(Exception):
    """A mistake that the user can correct. The message names the file or key, what was expected
    and what was found."""
