"""Tables of runs -> metrics with intervals, and claims with verdicts."""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, score_run="run", RunTables="run", compare="comparison")
