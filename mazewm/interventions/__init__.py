"""What is done to a run's transformer, what the edited maze predicts, and what happens."""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, intervene="experiment", InterventionParams="design")
