"""A run on disk with everything that the explorer reads: a random model that walks about, random
SAEs, cached activations, and tables that are made up.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from planted import N_CONNECTIONS, SITE, random_sae, trees
from planted_edits import WRITING, rows
from toys import wanderer

from mazewm.features.ranking import LatentRow
from mazewm.features.taxonomy import LatentKindRow
from mazewm.features.trees import FeatureRow
from mazewm.inference.subject import Subject
from mazewm.interventions.ledger import LedgerRow, UnitRow
from mazewm.io import tables
from mazewm.loaded import LoadedRun, load
from mazewm.localize import activations
from mazewm.localize.locations import Locations
from mazewm.maze import mazes
from mazewm.results import table_file
from mazewm.sae.files import file_name

LATENTS, SIZES, DOSE = 47, (1, 3), 30.0
KINDS = ("trained", "frozen_decoder", "untrained_model")
NAMES = ("rotary-all-0", "learned-all-0")


def planted(folder: Path, name: str = NAMES[0]) -> LoadedRun:
    """The run of a name."""
    made = LoadedRun.named(name, folder)
    for kind in ("models", "locations", "activations", "saes", "interventions", "features"):
        made.folder(kind).mkdir(parents=True)
    model = wanderer(made.encoding)
    model.save(made.weights)
    for seed, split in enumerate(("test", "validation", "train")):
        mazes.write(made.maze_file(split), trees(23, seed=seed))
    Locations(SITE, WRITING).save(made.folder("locations"))
    wanted = activations.Wanted([SITE.place], [SITE.token_class])
    for split in ("train", "validation"):
        read_by = Subject(model, made.mazes(split), made.seed, 10)
        activations.cache(made.folder("activations") / "trained" / split, read_by, wanted)
    for seed, kind in enumerate(KINDS):
        sae = random_sae(model.params.d_model, LATENTS, seed=seed)
        sae.save(made.folder("saes") / file_name(SITE.place, kind))
    _tables(made)
    return load(name, folder)


def _tables(made: LoadedRun) -> None:
    methods = [*(("latents", n) for n in SIZES), ("mean_difference", 0), ("random_direction", 0)]
    tried = [
        rows(*method, 0.4 + 0.1 * method[1], kind=kind, k=k, dose=DOSE, split="validation")
        for method in methods
        for kind, k in (("add", 1), ("remove", 1), ("corridor", 1), ("corridor", 2))
    ]
    ledger = pd.concat(tried, ignore_index=True).drop(columns="connection_set")
    tables.write(table_file(made, "ledger"), LedgerRow, dict(ledger.items()))
    each = [(e, rank) for e in range(N_CONNECTIONS) for rank in range(max(SIZES))]
    unit = [(3 * e + 5 * rank) % LATENTS for e, rank in each]
    tables.write_rows(
        table_file(made, "units"),
        UnitRow,
        [
            UnitRow(str(SITE), "latents", *pair, u, 0.5, 1.0 + pair[0])
            for pair, u in zip(each, unit, strict=True)
        ],
    )
    tables.write_rows(
        table_file(made, "latents"),
        LatentRow,
        [
            LatentRow(str(SITE), *pair, u, 1.0, 0.0, 0.9 - 0.1 * pair[1])
            for pair, u in zip(each, unit, strict=True)
        ],
    )
    tables.write_rows(
        table_file(made, "taxonomy"),
        LatentKindRow,
        [
            LatentKindRow(str(SITE.place), "trained", i, "cell", f"({i % 3},0)", 0.8, 0.1)
            for i in range(LATENTS)
        ],
    )
    tables.write_rows(
        table_file(made, "features"),
        FeatureRow,
        [
            FeatureRow(str(SITE), "latents", e, depth, [e] * (depth == 2), 0.9, 0.9, 0.9, 7, 99)
            for e in range(N_CONNECTIONS)
            for depth in (1, 2)
        ],
    )


def cells_of(run: LoadedRun, connection: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """The two cells of a connection."""
    a, b = (tuple(map(int, divmod(int(c), run.grid.n))) for c in run.grid.ends[connection])
    return a, b


def first(some: np.ndarray, n: int) -> list[int]:
    """The numbers of the first n that are true."""
    return [int(e) for e in np.flatnonzero(some)[:n]]
