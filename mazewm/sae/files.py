"""Where the sparse autoencoders of a run lie: one for each place and kind.

Kinds: ``trained``, the chosen one; ``second_seed``; and the two that should fail,
``frozen_decoder`` and ``untrained_model``.
"""

from mazewm.model.sites import Place
from mazewm.run import Run
from mazewm.sae.autoencoder import SparseAutoencoder

TRAINED = "trained"


def file_name(place: Place | str, kind: str = TRAINED) -> str:
    """The file of one of them in a run's folder."""
    return f"{place}.safetensors" if kind == TRAINED else f"{place}.{kind}.safetensors"


def load_sae(run: Run, place: Place | str, kind: str = TRAINED) -> SparseAutoencoder:
    """One of a run's; BadInput if its file is missing or foreign."""
    return SparseAutoencoder.load(run.folder("saes") / file_name(place, kind))
