"""What the latents of a sparse autoencoder stand for."""

from mazewm.io.lazy import offer

__getattr__ = offer(
    __name__,
    map_features="mapping",
    FeatureParams="trees",
    detector="trees",
)
