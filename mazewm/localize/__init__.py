"""Where in a transformer connections are read and where they can be written; activations and
supervised directions there.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(
    __name__,
    locate="locating",
    formation="consolidation",
    ConsolidationParams="consolidation",
    WritingParams="writing",
    cache_activations="activations",
    ActivationParams="activations",
)
