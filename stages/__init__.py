"""One typer command for each stage of dvc.yaml: it reads, calls the library and writes."""

import os
import sys
from types import TracebackType
from typing import Any


def _silent_for_ctrl_c(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """As Python's own hook, but says nothing of Ctrl-C."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


def _silent_for_ctrl_c_at_the_end(unraisable: Any) -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


# Before all else is imported, which takes seconds on a busy machine: Ctrl-C there ends the process
# by the signal, as everywhere, but without a traceback.
sys.excepthook, sys.unraisablehook = _silent_for_ctrl_c, _silent_for_ctrl_c_at_the_end

# With another number of threads, numpy's matrix products add in another order, and results must not
# depend on the number of cores. Also, runs go in parallel, one core each. params.yaml sets torch's
# threads.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
