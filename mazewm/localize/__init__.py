"""Where in a transformer connections can be read by a probe, and where edits can write them; cached
activations and supervised directions at these places.
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
