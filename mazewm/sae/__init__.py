"""Sparse autoencoders (SAEs): training, the sweep over widths and sparsities, quality, seed
stability, and splicing into the model.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, train_all="study", SaeParams="params")
