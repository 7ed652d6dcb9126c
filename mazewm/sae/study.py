"""All sparse autoencoders of one run: at each cached place a sweep, the SAE at the operating point,
one with another seed, and two controls; where connections are read, more seeds, more draws of the
random control, and an SAE of each other architecture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mazewm.io import tables
from mazewm.io.progress import Progress, console, progress
from mazewm.localize.activations import Activations, cached_places, read
from mazewm.localize.locations import PAPER_LOCATION, Locations
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import TokenClass
from mazewm.model.interface import Model
from mazewm.model.sites import Place
from mazewm.run import Study
from mazewm.sae import quality, sweep, training
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import (
    FROZEN,
    SECOND_SEED,
    TRAINED,
    UNTRAINED_MODEL,
    SaeRow,
    file_name,
    folder_of,
    frozen,
    seed_of,
    seeds,
)
from mazewm.sae.operating_point import FrontierRow, choose, operating_point
from mazewm.sae.params import Activation, Point, SaeParams
from mazewm.sae.penalty import penalty_for
from mazewm.sae.quality import DescriptionRow, SpliceRow
from mazewm.sae.stability import StabilityRow, compare
from mazewm.sae.sweep import Detector

# Makes a Detector, which measures how well latents identify each connection, from validation tokens
# of one class.
DetectorOf = Callable[[Activations, TokenClass], Detector]


@dataclass(frozen=True)
class Studied:
    """The resulting tables, over all places."""

    saes: list[SaeRow] = field(default_factory=list)
    frontier: list[FrontierRow] = field(default_factory=list)
    descriptions: list[DescriptionRow] = field(default_factory=list)
    splices: list[SpliceRow] = field(default_factory=list)
    stability: list[StabilityRow] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write each table to a file of its name."""
        tables.write_rows(folder / "saes.parquet", SaeRow, self.saes)
        tables.write_rows(folder / "frontier.parquet", FrontierRow, self.frontier)
        tables.write_rows(folder / "descriptions.parquet", DescriptionRow, self.descriptions)
        tables.write_rows(folder / "splices.parquet", SpliceRow, self.splices)
        tables.write_rows(folder / "stability.parquet", StabilityRow, self.stability)


class _Output(NamedTuple):
    """The folders in which SAEs are saved, by the names of ``folder_of``, and what was found."""

    folders: Mapping[str, Path]
    fits: Progress
    found: Studied

    def save(self, row: SaeRow, sae: SparseAutoencoder) -> None:
        """Write an SAE's file, and list it."""
        sae.save(self.folders[folder_of(row.kind)] / file_name(row.place, row.kind))
        self.found.saes.append(row)
        self.fits.advance()


class _AtPlace:
    """The activations of one place, and the model into which SAEs of this place are spliced."""

    def __init__(self, run: Study, name: str, model: Model, params: SaeParams) -> None:
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

    def sweep(self, detect: Detector, mazes: Mazes, fits: Progress) -> list[FrontierRow]:
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

    def at_point(self, chosen: FrontierRow, mazes: Mazes, to: _Output) -> None:
        """Train, save and describe the SAE at the operating point, its second seed, and the two
        controls."""
        one, n_control = self._study(chosen), self.params.n_control_samples
        trained = self._train(one, to)
        second = self._train(replace(one, kind=SECOND_SEED, draw=1), to)
        control = self._train(replace(one, kind=FROZEN, family=FROZEN, n_samples=n_control), to)
        untrained = replace(one, kind=UNTRAINED_MODEL, family=UNTRAINED_MODEL, n_samples=n_control)
        saes = {TRAINED: trained, SECOND_SEED: second, FROZEN: control}
        saes[UNTRAINED_MODEL] = self._train(untrained, to)
        for kind, sae in saes.items():
            self._describe(kind, sae, to)
        values = self.test["trained"].values
        to.found.stability.extend(compare(self.place, trained, second, control, values))
        to.found.splices.append(splice := self.splicing.quality(trained, mazes))
        console.print(
            f"{self.name}: solved {splice.solved_clean:.1%} clean, {splice.solved_spliced:.1%} "
            "spliced"
        )

    def more(self, chosen: FrontierRow, detect: Detector, to: _Output) -> None:
        """Train and save more seeds of the SAE at the operating point, more draws of the control
        with a random decoder, and an SAE of each other architecture, at the learning rate at which
        its latents identify connections best on validation mazes."""
        one, params = self._study(chosen), self.params
        for draw, kind in list(enumerate(seeds(params.n_seeds)))[2:]:
            self._train(replace(one, kind=kind, draw=draw), to)
        random = replace(one, family=FROZEN, n_samples=params.n_frozen_samples)
        for draw, kind in list(enumerate(frozen(params.n_frozen)))[1:]:
            self._train(replace(random, kind=kind, draw=draw), to)
        for activation in params.other_activations():
            sparsity = self._alike(activation, chosen)
            other = replace(one, kind=activation, family=activation, activation=activation)
            rows = [replace(other, sparsity=sparsity, lr=lr) for lr in params.lrs_of(activation)]
            tried = [(row, sae, self._mcc(sae, detect)) for row in rows for sae in [self._fit(row)]]
            for row, _, mcc in tried:
                console.print(f"{self.name} {activation}: lr {row.lr:g}: MCC {mcc:.3f}")
            row, sae, _ = max(tried, key=lambda each: each[2])
            to.save(row, sae)
            self._describe(activation, sae, to)

    def _study(self, chosen: FrontierRow) -> SaeRow:
        """The SAE at the operating point."""
        params, point = self.params, chosen.point
        one, n = (TRAINED, TRAINED, 0, params.activation), params.n_samples
        return SaeRow(self.name, *one, *point, params.lr, n)

    def _train(self, row: SaeRow, to: _Output) -> SparseAutoencoder:
        """Train the SAE that the row is about, and save it."""
        sae = self._fit(row)
        to.save(row, sae)
        return sae

    def _fit(self, row: SaeRow) -> SparseAutoencoder:
        """The SAE that the row is about. ValueError for one that cannot be trained here."""
        if row.activation == "jumprelu":
            raise ValueError("jumprelu: an architecture that is not trained here")
        values = self.train["untrained" if row.family == UNTRAINED_MODEL else "trained"]
        recipe = self.params.recipe(row.activation, row.lr)
        point, seed = Point(row.width, row.sparsity), seed_of(row.kind, self.run)
        return training.train(values, recipe, point, seed, row.n_samples, row.family == FROZEN)

    def _mcc(self, sae: SparseAutoencoder, detect: Detector) -> float:
        """How well its latents identify connections on validation mazes."""
        return float(np.mean(detect.mcc(quality.latents_of(sae, self.validation.values))))

    def _describe(self, kind: str, sae: SparseAutoencoder, to: _Output) -> None:
        tokens = self.test["untrained" if kind == UNTRAINED_MODEL else "trained"]
        described = quality.describe(kind, self.place, sae, tokens)
        to.found.descriptions.extend(described)
        whole = described[0]
        console.print(
            f"{self.name} {kind}: explained variance {whole.explained_variance:.3f}, L0 "
            f"{whole.l0:.1f}, dead {whole.n_dead}"
        )

    def _alike(self, activation: Activation, chosen: FrontierRow) -> float:
        """The sparsity at which another architecture has, as nearly as it can, the L0 of the chosen
        SAE (docs/science.md#architectures). It is chosen on validation mazes."""
        if self.params.activation == "relu":
            return max(1, round(chosen.l0))
        if activation != "relu":
            return chosen.sparsity
        params, seed = self.params, seed_of(activation, self.run)
        recipe, values = params.recipe(activation, params.lr), self.train["trained"]

        def l0_of(penalty: float) -> float:
            # As the SAE itself will be trained: in a shorter training, more latents stay active.
            point = Point(chosen.width, penalty)
            sae = training.train(values, recipe, point, seed, params.n_samples)
            found = quality.l0(quality.latents_of(sae, self.validation.values))
            console.print(f"{self.name} {activation}: penalty {penalty:.3g}: L0 {found:.2f}")
            return found

        return penalty_for(l0_of, chosen.sparsity, params.n_penalties)


def train_all(
    run: Study,
    model: Model,
    params: SaeParams,
    detector_of: DetectorOf,
    folders: Mapping[str, Path],
) -> Studied:
    """Train all SAEs of a run's model, and save them in ``folders``, whose names are those of
    ``mazewm.sae.files.folder_of``. Everything is chosen on validation mazes; descriptions, splices
    and stability are measured on test mazes. BadInput if the run's activations are missing."""
    names = cached_places(run.folder("activations") / "trained" / "train")
    locations = Locations.load(run.folder("locations"), model.params.n_layers)
    judged_on, held_out = (
        run.mazes("validation")[: params.n_sweep_mazes],
        run.mazes("test")[: params.n_evaluated_mazes],
    )
    # four SAEs at the operating point of each place, and the others where connections are read
    n_more = params.n_seeds - 2 + params.n_frozen - 1 + len(params.other_activations())
    fits = progress("sparse autoencoders", len(names) * (len(params.points()) + 4) + n_more)
    to = _Output(folders, fits, found := Studied())
    for name in names:
        here = _AtPlace(run, name, model, params)
        token_class = next(
            (each.token_class for each in locations.studied if each.place == here.place),
            PAPER_LOCATION.token_class,
        )
        detect = detector_of(here.validation, token_class)
        rows = here.sweep(detect, judged_on, fits)
        found.frontier.extend(rows)
        chosen = operating_point(rows)
        console.print(f"{name}: {chosen.width} latents and sparsity {chosen.sparsity:g} are chosen")
        here.at_point(chosen, held_out, to)
        if here.place == locations.reading.place:
            here.more(chosen, detect, to)
    return found
