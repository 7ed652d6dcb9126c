"""The files of a run's sparse autoencoders: one for each place and kind.

The kinds: ``trained``, the SAE at the operating point; ``second_seed``, the same with another seed;
and two controls that should fail: ``frozen_decoder``, whose decoder directions stay random, and
``untrained_model``, the SAE of an untrained transformer's activations. Where connections are read,
there are more seeds (``seed_3`` and so on), more draws of random decoders (``frozen_decoder_2``
and so on, in a folder of their own, since only the feature map reads them), and an SAE of each
other architecture, named by its activation function. The table
``saes`` lists them all.
"""

from dataclasses import dataclass
from typing import Annotated

import pandas as pd
import pyarrow as pa

from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.io.streams import stream
from mazewm.model.sites import Place
from mazewm.run import Study
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.params import Architecture

TRAINED, SECOND_SEED, UNTRAINED_MODEL = "trained", "second_seed", "untrained_model"
FROZEN = "frozen_decoder"
SAES, RANDOM_SAES = "saes", "random_saes"  # the folders


def seeds(n: int) -> list[str]:
    """The kinds of ``n`` SAEs that differ in their seed only."""
    return [TRAINED, SECOND_SEED, *(f"seed_{nth}" for nth in range(3, n + 1))][:n]


def frozen(n: int) -> list[str]:
    """The kinds of ``n`` SAEs with random decoders."""
    return [FROZEN, *(f"{FROZEN}_{nth}" for nth in range(2, n + 1))]


def seed_of(kind: str, run: Study) -> int:
    """The seed of one of a run's SAEs. It is not that of the transformer, whose first random
    numbers are the first directions of its residual stream's weights."""
    return int(stream(f"sae: {kind}", run.seed).integers(2**62))


@dataclass(frozen=True)
class SaeRow:
    """One SAE of a run."""

    place: tables.Text
    kind: tables.Text  # which gives the file's name
    # SAEs of one family differ in their draw only: trained (with the second seed and those after
    # it), frozen_decoder, untrained_model, and each other architecture
    family: tables.Text
    draw: tables.Int  # 0, 1, ...
    activation: Annotated[Architecture, pa.string()]
    width: tables.Int
    sparsity: tables.Real  # as in Point
    lr: tables.Real  # the learning rate
    n_samples: tables.Int  # on which it was trained


def listed(run: Study, place: Place | str) -> pd.DataFrame:
    """The rows of SaeRow of all SAEs that were trained at a place. BadInput if the table is missing
    or has none of them."""
    file = run.folder(SAES) / "saes.parquet"
    rows = tables.read(file, SaeRow)
    rows = rows[rows.place == str(place)]
    if rows.empty:
        raise BadInput(
            f"{file}: no SAE at {place}; expected those of every place whose activations are "
            "cached."
        )
    return rows


def folder_of(kind: str) -> str:
    """The folder of an SAE's file, as a kind of a run's results.

    >>> folder_of("frozen_decoder"), folder_of("frozen_decoder_2")
    ('saes', 'random_saes')
    """
    return RANDOM_SAES if kind.startswith(f"{FROZEN}_") else SAES


def file_name(place: Place | str, kind: str = TRAINED) -> str:
    """The name of an SAE's file in a run's folder."""
    return f"{place}.safetensors" if kind == TRAINED else f"{place}.{kind}.safetensors"


def load_sae(run: Study, place: Place | str, kind: str = TRAINED) -> SparseAutoencoder:
    """One of a run's SAEs; BadInput if its file is missing or broken."""
    return SparseAutoencoder.load(run.folder(folder_of(kind)) / file_name(place, kind))
