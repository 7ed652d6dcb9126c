"""The files of a run's sparse autoencoders: one for each place and kind.

The kinds: ``trained``, the SAE at the operating point; ``second_seed``, the same with another seed;
and two controls that should fail: ``frozen_decoder``, whose decoder directions stay random, and
``untrained_model``, the SAE of an untrained transformer's activations.
"""

from mazewm.model.sites import Place
from mazewm.run import Run
from mazewm.sae.autoencoder import SparseAutoencoder

TRAINED = "trained"


def file_name(place: Place | str, kind: str = TRAINED) -> str:
    """The name of an SAE's file in a run's folder."""
    return f"{place}.safetensors" if kind == TRAINED else f"{place}.{kind}.safetensors"


def load_sae(run: Run, place: Place | str, kind: str = TRAINED) -> SparseAutoencoder:
    """One of a run's SAEs; BadInput if its file is missing or broken."""
    return SparseAutoencoder.load(run.folder("saes") / file_name(place, kind))
