"""A run's weights, SAEs and mazes, written for other libraries: TransformerLens, SAELens and
maze-dataset (docs/exchange.md). ``python -m mazewm.export`` is the same as a command.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, export_model="models", export_sae="saes", export_mazes="datasets")
