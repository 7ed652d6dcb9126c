"""All that decides the weights: the transformer, its positional encodings, optimizer and
training.
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
