"""The transformer and its training: architecture, positional encodings, optimizer, batches and
training loop.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(
    __name__,
    Transformer="transformer",
    TransformerParams="transformer",
    TrainingParams="recipe",
    Training="training",
    Checkpoint="training",
)
