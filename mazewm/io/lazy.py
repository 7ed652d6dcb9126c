"""Lazy re-exports: a package offers names from its modules, and imports a module only when one of
its names is used.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def offer(package: str, **modules: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for ``package``: with ``offer(__name__, trace="tracing")``,
    ``package.trace`` is ``package.tracing.trace``.

    So importing one module of a package does not import the others, and the code that a pipeline
    stage depends on (``stages.imports``) is only the code it uses.

    >>> get = offer("mazewm", Maze="maze.maze")
    >>> get("Maze").__module__
    'mazewm.maze.maze'
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
