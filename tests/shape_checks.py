"""What checks shapes and types of arguments while tests run (``--jaxtyping-packages``)."""

from beartype import beartype


def checked(function):
    """``function``, checked at each call, unless it is made inside another one: checks would be
    compiled anew whenever that one is called, which takes longer than all that they check."""
    return function if "<locals>" in function.__qualname__ else beartype(function)
