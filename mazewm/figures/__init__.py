"""Tables -> figures."""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, draw_run="run", draw_comparison="comparison")
