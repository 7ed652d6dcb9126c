"""Claims and pictures -> one page that can be read without anything else."""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, render="page")
