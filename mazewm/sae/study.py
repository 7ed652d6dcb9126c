"""All sparse autoencoders of one run: at each cached place a sweep, the SAE at the operating point,
one with another seed, and two controls; where connections are read, more seeds and more draws of
the random control.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mazewm.io import tables
from mazewm.io.progress import Progress, console, progress
from mazewm.localize.activations import Activations, cached_places, read
from mazewm.localize.locations import PAPER_LOCATION, Locations
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import TokenClass
from mazewm.model.sites import Place
from mazewm.model.transformer import Transformer
from mazewm.run import Run
from mazewm.sae import quality, sweep, training
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import (
    FROZEN,
    SECOND_SEED,
    TRAINED,
    UNTRAINED_MODEL,
    file_name,
    frozen,
    seed_of,
    seeds,
)
from mazewm.sae.operating_point import FrontierRow, choose, operating_point
from mazewm.sae.params import Point, SaeParams
from mazewm.sae.quality import DescriptionRow, SpliceRow
from mazewm.sae.stability import StabilityRow, compare

# Makes a Detector, which measures how well latents identify each connection, from validation tokens
# of one class.
DetectorOf = Callable[[Activations, TokenClass], sweep.Detector]


@dataclass(frozen=True)
class Studied:
    """The resulting tables, over all places."""

    frontier: list[FrontierRow] = field(default_factory=list)
    descriptions: list[DescriptionRow] = field(default_factory=list)
    splices: list[SpliceRow] = field(default_factory=list)
    stability: list[StabilityRow] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write each table to a file of its name."""
        tables.write_rows(folder / "frontier.parquet", FrontierRow, self.frontier)
        tables.write_rows(folder / "descriptions.parquet", DescriptionRow, self.descriptions)
        tables.write_rows(folder / "splices.parquet", SpliceRow, self.splices)
        tables.write_rows(folder / "stability.parquet", StabilityRow, self.stability)


class _AtPlace:
    """The activations of one place, and the model into which SAEs of this place are spliced."""

    def __init__(self, run: Run, name: str, model: Transformer, params: SaeParams) -> None:
        cached = run.folder("activations")
        self.name, self.model, self.params, self.run = name, model, params, run
        self.place = Place.parse(name, model.params.n_layers, str(cached))
        self.train = {
            kind: read(cached / kind / "train" / name).values for kind in ("trained", "untrained")
        }
        self.test = {kind: read(cached / kind / "test" / name) for kind in ("trained", "untrained")}
        self.validation = read(cached / "trained" / "validation" / name)
        mean = self.train["trained"].mean(axis=0, dtype=np.float64)
        self.splicing = quality.Splicing(
            model, self.place, mean, seed_of("sweep", run), params.rollout_batch_size
        )

    def sweep(self, detect: sweep.Detector, mazes: Mazes, fits: Progress) -> list[FrontierRow]:
        """Sweep over all points: one row for each, with the operating point marked."""
        rows = []
        for row in sweep.sweep(
            self.splicing, detect, self.train["trained"], self.validation, mazes, self.params
        ):
            rows.append(row)
            fits.update(
                fits.done + 1, f"{self.name}: explained variance {row.explained_variance:.3f}"
            )
            console.print(
                f"{self.name}: {row.width} latents, sparsity {row.sparsity:g}: explained variance "
                f"{row.explained_variance:.3f}, "
                f"MCC at {detect.token_class} {np.mean(row.mcc):.2f}, solved "
                f"{row.solved_clean:.1%} clean, {row.solved_spliced:.1%} spliced"
            )
        return choose(rows, self.params.activation)

    def at_point(
        self, point: Point, folder: Path, fits: Progress, mazes: Mazes, found: Studied
    ) -> None:
        """Train, save and describe the SAE at the operating point, its second seed, and the two
        controls."""
        params, values = self.params, self.train["trained"]
        saes = {
            TRAINED: self._train(TRAINED, point, params.n_samples),
            SECOND_SEED: self._train(SECOND_SEED, point, params.n_samples),
            FROZEN: self._train(FROZEN, point, params.n_control_samples, frozen_decoder=True),
            UNTRAINED_MODEL: training.train(
                self.train["untrained"],
                params,
                point,
                seed_of(UNTRAINED_MODEL, self.run),
                params.n_control_samples,
            ),
        }
        for kind, sae in saes.items():
            sae.save(folder / file_name(self.name, kind))
            described = quality.describe(
                kind,
                self.place,
                sae,
                self.test["untrained" if kind == UNTRAINED_MODEL else "trained"],
            )
            found.descriptions.extend(described)
            whole = described[0]
            console.print(
                f"{self.name} {kind}: explained variance {whole.explained_variance:.3f}, L0 "
                f"{whole.l0:.1f}, dead {whole.n_dead}"
            )
            fits.advance()
        trained, values = saes[TRAINED], self.test["trained"].values
        found.stability.extend(
            compare(self.place, trained, saes[SECOND_SEED], saes[FROZEN], values)
        )
        found.splices.append(splice := self.splicing.quality(trained, mazes))
        console.print(
            f"{self.name}: solved {splice.solved_clean:.1%} clean, {splice.solved_spliced:.1%} "
            "spliced"
        )

    def more(self, point: Point, folder: Path, fits: Progress) -> None:
        """Train and save more seeds of the SAE at the operating point, and of the control with a
        random decoder."""
        params = self.params
        fits_left = dict.fromkeys(seeds(params.n_seeds)[2:], params.n_samples)
        fits_left |= dict.fromkeys(frozen(params.n_frozen)[1:], params.n_frozen_samples)
        for kind, n_samples in fits_left.items():
            sae = self._train(kind, point, n_samples, frozen_decoder=kind.startswith(FROZEN))
            sae.save(folder / file_name(self.name, kind))
            fits.advance()

    def _train(
        self, kind: str, point: Point, n_samples: int, frozen_decoder: bool = False
    ) -> SparseAutoencoder:
        values, seed = self.train["trained"], seed_of(kind, self.run)
        return training.train(values, self.params, point, seed, n_samples, frozen_decoder)


def train_all(run: Run, params: SaeParams, detector_of: DetectorOf, folder: Path) -> Studied:
    """Train all SAEs of a run, and save them in ``folder``. Everything is chosen on validation
    mazes; descriptions, splices and stability are measured on test mazes. BadInput if the run's
    activations are missing."""
    model, names = (
        Transformer.load(run.weights),
        cached_places(run.folder("activations") / "trained" / "train"),
    )
    locations = Locations.load(run.folder("activations"), model.params.n_layers)
    judged_on, held_out = (
        run.mazes("validation")[: params.n_sweep_mazes],
        run.mazes("test")[: params.n_evaluated_mazes],
    )
    # four SAEs at the operating point of each place, and the others where connections are read
    n_more = params.n_seeds - 2 + params.n_frozen - 1
    fits = progress("sparse autoencoders", len(names) * (len(params.points()) + 4) + n_more)
    found = Studied()
    for name in names:
        here = _AtPlace(run, name, model, params)
        token_class = next(
            (each.token_class for each in locations.studied if each.place == here.place),
            PAPER_LOCATION.token_class,
        )
        rows = here.sweep(detector_of(here.validation, token_class), judged_on, fits)
        found.frontier.extend(rows)
        point = operating_point(rows)
        console.print(f"{name}: {point.width} latents and sparsity {point.sparsity:g} are chosen")
        here.at_point(point, folder, fits, held_out, found)
        if here.place == locations.reading.place:
            here.more(point, folder, fits)
    return found
