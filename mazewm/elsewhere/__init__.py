"""Models and sparse autoencoders that were trained elsewhere, studied as those of a run are
(docs/exchange.md#in). ``python -m mazewm.elsewhere`` studies a HookedTransformer from its files.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(
    __name__,
    Foreign="residual",
    Settings="amounts",
    Options="studying",
    study="studying",
    opened="studying",
    Placed="saes",
    foreign_sae="saes",
    foreign_dictionary="dictionaries",
)
