"""Names that a package hands on without importing the modules that hold them until one of them is
asked for.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def offer(package: str, **modules: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for ``package``: ``offer(__name__, trace="tracing")`` hands on ``trace`` of
    ``package.tracing``.

    So importing one module of a package costs no other, and the code that a stage depends on
    (``stages.imports``) is what it uses."""

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
