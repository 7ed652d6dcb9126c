"""An SAE that was trained elsewhere takes the place of the one that the sweep chooses.

Connections are then written in its layer, at the tokens that are best there. Its controls, of other
seeds, random decoders and an untrained model, are SAEs that are trained here.
"""

from dataclasses import replace

import numpy as np

from mazewm.elsewhere.saes import Placed
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize.activations import read
from mazewm.localize.locating import Located
from mazewm.localize.locations import Locations
from mazewm.localize.writing import WritingRow, near_best
from mazewm.model.interface import Model
from mazewm.model.sites import Place, Site
from mazewm.run import Study
from mazewm.sae import quality
from mazewm.sae.files import TRAINED, file_name, seed_of
from mazewm.sae.params import SaeParams
from mazewm.sae.study import Studied


def at_its_layer(located: Located, given: Placed, model: Model, tolerance: float) -> Located:
    """The locations with a writing site in the layer of an SAE. BadInput for an SAE of another
    width than the model's, or one that does not read the residual stream after a block but the
    last."""
    layer, d_model = _layer_of(given, model), given.sae.shape.d_model
    if d_model != model.params.d_model:
        raise BadInput(
            f"sae: expected one of a model with d_model {model.params.d_model}, found {d_model}."
        )
    rows = tables.frame(located.written, WritingRow)
    site = near_best(rows[rows.layer == layer], tolerance)[0]
    return replace(located, locations=Locations(located.locations.reading, site))


def placed(studied: Studied, given: Placed, of: Study, model: Model, params: SaeParams) -> Studied:
    """The tables of all SAEs, with those of the one that was given in place of the one at the
    operating point, whose file in the study's folder it replaces. It has a learning rate of 0 and
    0 samples; its sparsity is its k, or for other architectures the number of its latents."""
    place, shape = Place(_layer_of(given, model), Site.RESID_POST), given.sae.shape
    name, cached = str(place), of.folder("activations") / "trained"
    given.sae.save(of.folder("saes") / file_name(place, TRAINED))
    mean = read(cached / "train" / name).values.mean(axis=0, dtype=np.float64)
    splicing = quality.Splicing(model, place, mean, seed_of("sweep", of), params.rollout_batch_size)
    described = quality.describe(TRAINED, place, given.sae, read(cached / "test" / name))
    others = [d for d in studied.descriptions if (d.place, d.sae) != (name, TRAINED)]
    return replace(
        studied,
        saes=[
            replace(
                row,
                activation=shape.activation,
                width=shape.n_latents,
                sparsity=float(shape.k),
                lr=0.0,
                n_samples=0,
            )
            if (row.place, row.kind) == (name, TRAINED)
            else row
            for row in studied.saes
        ],
        descriptions=others + described,
        splices=[
            splicing.quality(given.sae, of.mazes("test")[: params.n_evaluated_mazes])
            if row.place == name
            else row
            for row in studied.splices
        ],
        # how alike the SAEs of two seeds are says nothing about one that was given
        stability=[row for row in studied.stability if row.place != name],
    )


def _layer_of(given: Placed, model: Model) -> int:
    place = given.place
    layer = place.layer - (place.site == Site.RESID_PRE)  # before a block is after the one before
    is_stream = place.site in (Site.RESID_PRE, Site.RESID_POST)
    if not is_stream or not 0 <= layer < max(1, model.params.n_layers - 1):
        raise BadInput(
            f"sae: expected one that reads the residual stream after a block, but not the last of "
            f"{model.params.n_layers}, where edits have an effect; found one at '{place}'."
        )
    return layer
