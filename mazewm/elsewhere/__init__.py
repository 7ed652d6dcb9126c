"""Models and sparse autoencoders that were trained elsewhere, studied as those of a run are
(docs/exchange.md#in). ``python -m mazewm.elsewhere`` studies a HookedTransformer from its files.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(
    __name__,
    Foreign="residual",
    AtDepth="residual",
    Elsewhere="adapter",
    load_hooked="hooked",
    study="study",
    opened="study",
    foreign_sae="saes",
    foreign_dictionary="dictionaries",
)
