"""The figures of a study, counted again from its tables by code that shares nothing with
``mazewm/``: ``python -m trust.recount``."""
