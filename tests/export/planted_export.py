"""A run on disk with a random transformer and SAEs of every architecture."""

from pathlib import Path

import numpy as np
import torch
from planted import SITE, random_sae
from planted_edits import WRITING
from toys import tiny

from mazewm.datasets import draw
from mazewm.export import saes
from mazewm.inference import edits
from mazewm.loaded import LoadedRun, load
from mazewm.localize.locations import Locations
from mazewm.maze import mazes as maze_files
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Vocabulary, encode, encoding_rng
from mazewm.model.transformer import Transformer
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import TRAINED, file_name
from mazewm.sae.params import Architecture

N, LATENTS = 3, 47
FAMILY = draw.FamilyParams(generator="dfs", size=N, min_cells=5, max_cells=8, share=1.0)
CLOSE = 1e-4


def some_mazes() -> Mazes:
    """More than the 100 and the 256 from which on maze-dataset stores mazes and lists otherwise."""
    return draw.draw(np.random.default_rng(0), lattice(N), "trees", FAMILY, 351)[:301]


def stirred(encoding: str) -> Transformer:
    """A random transformer in which no weight is zero and no norm is the identity."""
    vocabulary = Vocabulary(N)
    model = tiny(encoding, len(vocabulary), vocabulary.max_length)
    for weight in model.parameters():
        weight += 0.2 * torch.randn_like(weight)
    return model


def sequences(mazes: Mazes) -> torch.Tensor:
    """Whole sequences of the mazes with the most connections, [maze, position]."""
    alike = mazes[mazes.n_connections == mazes.n_connections.max()]
    return torch.from_numpy(encode(alike, encoding_rng(0)).tokens)


def sae_that_reads(values: torch.Tensor, activation: Architecture) -> SparseAutoencoder:
    """A random SAE, with a threshold that half of the positive pre-activations of ``values``
    pass."""
    sae = random_sae(values.shape[-1], LATENTS, activation)
    pre = sae.pre_activation(values)
    sae.threshold.fill_(pre[pre > 0].median())
    return sae


def planted_run(folder: Path, encoding: str) -> LoadedRun:
    """The run of a positional encoding. The SAE that was trained is a TopK one, and its kind is
    ``trained``; SAEs of all architectures have those as their kinds."""
    made, mazes = LoadedRun.named(f"{encoding}-all-0", folder), some_mazes()
    for kind in ("models", "locations", "saes"):
        made.folder(kind).mkdir(parents=True)
    maze_files.write(made.maze_file("test"), mazes)
    model = stirred(encoding)
    model.save(made.weights)
    values = edits.run(model, sequences(mazes), record=[SITE.place]).values[SITE.place]
    for kind, activation in {TRAINED: "topk", **{a: a for a in saes.ARCHITECTURES}}.items():
        sae = sae_that_reads(values, activation)
        sae.save(made.folder("saes") / file_name(SITE.place, kind))
    Locations(SITE, WRITING).save(made.folder("locations"))
    return load(made.name, made.artifacts)
