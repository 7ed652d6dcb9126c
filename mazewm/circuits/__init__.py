"""Which heads bind two cells into a connection, what they look for and write, what is lost without
them; activation patching.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, trace="tracing", CircuitParams="params")
