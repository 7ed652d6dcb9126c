"""The files of a run's sparse autoencoders: one for each place and kind.

The kinds: ``trained``, the SAE at the operating point; ``second_seed``, the same with another seed;
and two controls that should fail: ``frozen_decoder``, whose decoder directions stay random, and
``untrained_model``, the SAE of an untrained transformer's activations. Where connections are read,
there are more seeds (``seed_3`` and so on) and more draws of random directions
(``frozen_decoder_2`` and so on).
"""

from mazewm.io.streams import stream
from mazewm.model.sites import Place
from mazewm.run import Run
from mazewm.sae.autoencoder import SparseAutoencoder

TRAINED, SECOND_SEED, UNTRAINED_MODEL = "trained", "second_seed", "untrained_model"
FROZEN = "frozen_decoder"


def seeds(n: int) -> list[str]:
    """The kinds of ``n`` SAEs that differ in their seed only."""
    return [TRAINED, SECOND_SEED, *(f"seed_{nth}" for nth in range(3, n + 1))][:n]


def frozen(n: int) -> list[str]:
    """The kinds of ``n`` SAEs with random decoders."""
    return [FROZEN, *(f"{FROZEN}_{nth}" for nth in range(2, n + 1))]


def seed_of(kind: str, run: Run) -> int:
    """The seed of one of a run's SAEs. It is not that of the transformer, whose first random
    numbers are the first directions of its residual stream's weights."""
    return int(stream(f"sae: {kind}", run.seed).integers(2**62))


def exist(run: Run, place: Place | str, kinds: list[str]) -> list[str]:
    """Those of some kinds that were trained at a place."""
    return [kind for kind in kinds if (run.folder("saes") / file_name(place, kind)).exists()]


def file_name(place: Place | str, kind: str = TRAINED) -> str:
    """The name of an SAE's file in a run's folder."""
    return f"{place}.safetensors" if kind == TRAINED else f"{place}.{kind}.safetensors"


def load_sae(run: Run, place: Place | str, kind: str = TRAINED) -> SparseAutoencoder:
    """One of a run's SAEs; BadInput if its file is missing or broken."""
    return SparseAutoencoder.load(run.folder("saes") / file_name(place, kind))
