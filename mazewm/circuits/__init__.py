"""Which heads bind two cells into a connection, what they attend to and write, and what is lost
when they are ablated; activation patching.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, trace="tracing", CircuitParams="params")
