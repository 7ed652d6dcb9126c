"""Sparse autoencoders: training, the sweep over widths and sparsities, quality, stability, and
splicing into the model.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, train_all="study", SaeParams="params")
