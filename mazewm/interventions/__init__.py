"""Edits of connections inside the model: what is done, what the edited maze predicts, and what the
model does."""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, intervene="experiment", InterventionParams="params")
