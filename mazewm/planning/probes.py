"""Linear probes for facts that no single token states, at the last tokens before the model's answer
and at every depth, with controls (docs/science.md#fact-probes).

Tokens: the last three of the prompt, ``target <TARGET_END> <PATH_START>``, and ``origin``, the
first of the path. Every path starts at the origin, which the prompt contains, so none of these
tokens reveals part of the answer, as later tokens of the path would. Depth 0 is the embedding,
depth l the residual stream after l blocks.

A probe is a ridge regression for each cell or connection, fitted on the training mazes that count
for it. One penalty is chosen for all units together, on every fifth of these mazes. Probes are
scored on validation mazes, where token and depth are chosen, and on test mazes. The score of a unit
is R² for a distance (predicting the unit's mean scores 0) and the area under the ROC curve for yes
or no (chance: 0.5).

Readouts of a residual stream: ``model``; ``untrained_model``, of the same architecture;
``shuffled_labels``, the trained model with the labels of other mazes. Readouts without a model, and
so without token and depth: ``input``, the connections, origin and target as bits, for what is
linear in the input; ``input_pairs``, these bits and the products of connection and target,
connection and origin, and origin and target, for what a single lookup of the input from the origin
or from the target could give.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field

from mazewm.inference.edits import run
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.io.params import Params
from mazewm.io.streams import stream
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import encode, encoding_rng, prompt_length
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.planning.facts import Fact, facts
from mazewm.planning.fitting import Probe, fit, given_target, mean_differences, score, shuffled

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]

TOKENS = ("target", "<TARGET_END>", "<PATH_START>", "origin")
NO_DEPTH = -1
NO_TOKEN = "none"


class PlanningParams(Params):
    """Settings of probes and steering: ``planning`` in params.yaml."""

    n_fit_mazes: Count  # training mazes
    n_held_out_mazes: Count  # validation mazes, and as many test mazes
    # of the ridge, in multiples of the mean eigenvalue of X'X
    penalties: Annotated[list[Positive], Field(min_length=1)]
    n_steered: Count  # test mazes in each situation
    n_steered_validation: Count  # the same of validation mazes, where depth and dose are chosen
    # in multiples of the length of the mean difference's edit
    doses: Annotated[list[Positive], Field(min_length=1)]
    # pairs of mazes for each connection, made from test and from validation mazes, and how strongly
    # connections are written at the tokens after the list: multiples of the mean difference
    n_twins: Count
    n_twins_validation: Count
    twin_doses: Annotated[list[Positive], Field(min_length=1)]
    batch_size: Count
    n_threads: Count


@dataclass(frozen=True)
class ProbeRow:
    """The score of one unit under one readout."""

    split: tables.Text
    fact: tables.Text
    token: tables.Text  # one of TOKENS; none for the input's bits
    depth: tables.Int  # blocks passed; 0 is the embedding, -1 the input's bits
    readout: tables.Text
    unit: tables.Int  # the number of a cell or of a connection
    score: tables.Real  # R^2 of a distance, area under the ROC curve otherwise
    n: tables.Int  # mazes


class Readout(NamedTuple):
    """What a probe predicts, and from what (the columns of ProbeRow)."""

    fact: str
    token: str
    depth: int
    readout: str


class Directions(NamedTuple):
    """For each unit, directions in the trained model's residual stream at one token and depth that
    mean "the fact holds"; for a distance, "it is short"."""

    probe: Float[np.ndarray, "unit d_model"]
    shuffled_labels: Float[np.ndarray, "unit d_model"]
    # from mazes in which the fact does not hold to those in which it does
    mean_difference: Float[np.ndarray, "unit d_model"]
    # the same among mazes with equal targets; its length has no meaning
    given_target: Float[np.ndarray, "unit d_model"]
    is_known: Bool[np.ndarray, " unit"]  # whether a probe was fitted


def check_apart(fit: Mazes, test: Mazes) -> None:
    """BadInput if some connection set is in both batches."""
    shared = {row.tobytes() for row in fit.connections} & {
        row.tobytes() for row in test.connections
    }
    if shared:
        raise BadInput(
            "mazes: expected no connection set both where probes are fitted and where they are "
            f"measured, found {len(shared)}."
        )


def depths(model: Transformer) -> list[Place]:
    """The place of the residual stream at every depth."""
    return [
        Place(0, Site.RESID_PRE),
        *(Place(layer, Site.RESID_POST) for layer in range(model.params.n_layers)),
    ]


def read(
    model: Transformer, mazes: Mazes, rng: np.random.Generator, batch: int
) -> Float[np.ndarray, "token depth maze d_model"]:
    """The residual stream at each of ``TOKENS`` and every depth."""
    wanted = depths(model)
    values = np.empty((len(TOKENS), len(wanted), len(mazes), model.params.d_model), np.float32)
    for index in mazes.batches(batch):
        encoded = encode(mazes[index], rng)
        tokens = torch.from_numpy(encoded.tokens[:, : prompt_length(encoded.n_connections) + 1]).to(
            model.device
        )
        with torch.inference_mode():
            seen = run(model, tokens, record=wanted).values
        for depth, place in enumerate(wanted):
            values[:, depth, index] = seen[place][:, -len(TOKENS) :].transpose(0, 1).cpu().numpy()
    return values


def bits(mazes: Mazes) -> Float[np.ndarray, "maze bit"]:
    """The maze itself as ones and zeros: its connections, then origin and target, one-hot."""
    one_hot = np.eye(mazes.grid.n_cells, dtype=np.float32)
    return np.concatenate(
        [mazes.connections, one_hot[mazes.origin], one_hot[mazes.target]], axis=1, dtype=np.float32
    )


def pairs(mazes: Mazes) -> Float[np.ndarray, "maze pair"]:
    """The bits, and the products of each connection and target, of each connection and origin, and
    of each origin and target."""
    cells = np.arange(mazes.grid.n_cells)
    origin, target = mazes.origin[:, None] == cells, mazes.target[:, None] == cells
    both = [
        a[:, :, None] & b[:, None]
        for a, b in ((mazes.connections, target), (mazes.connections, origin), (origin, target))
    ]
    return np.concatenate(
        [bits(mazes), *(products.reshape(len(mazes), -1) for products in both)],
        axis=1,
        dtype=np.float32,
    )


class Measured(NamedTuple):
    """The scores of every readout, and the directions by fact, token and depth."""

    rows: list[ProbeRow]
    directions: dict[tuple[str, str, int], Directions]


def measure(
    model: Transformer,
    fit_mazes: Mazes,
    held_out: Mapping[str, Mazes],
    params: PlanningParams,
    seed: int,
) -> Measured:
    """Fit every probe (of the input, of the model, and of an untrained model) on ``fit_mazes``, and
    score it on each of the ``held_out`` splits.

    BadInput if a held-out split shares a connection set with ``fit_mazes``."""
    for mazes in held_out.values():
        check_apart(fit_mazes, mazes)
    study = _Study(fit_mazes, held_out, params, seed)
    study.read_input("input", bits)
    study.read_input("input_pairs", pairs)
    directions = study.read_model("model", model)
    study.read_model("untrained_model", model.untrained(seed))
    return Measured(study.rows, directions)


class _Study:
    """The mazes on which probes are fitted and scored, their facts, and the scores so far."""

    def __init__(
        self, fit_mazes: Mazes, held_out: Mapping[str, Mazes], params: PlanningParams, seed: int
    ) -> None:
        self.fit_mazes, self.held_out, self.params, self.seed = fit_mazes, held_out, params, seed
        self.known, self.asked = (
            facts(fit_mazes),
            {split: facts(mazes) for split, mazes in held_out.items()},
        )
        self.dealt = {
            name: shuffled(fact, stream("probes: shuffled labels", seed))
            for name, fact in self.known.items()
        }
        self.rows: list[ProbeRow] = []

    def read_input(self, readout: str, explicit: Callable[[Mazes], np.ndarray]) -> None:
        """Fit and score probes of a model-free readout; ``explicit`` turns mazes into numbers."""
        fitted, x = (
            explicit(self.fit_mazes),
            {split: explicit(mazes) for split, mazes in self.held_out.items()},
        )
        for name, fact in self.known.items():
            self._score(
                Readout(name, NO_TOKEN, NO_DEPTH, readout),
                x,
                fit(fitted, fact, self.params.penalties),
            )

    def read_model(
        self, readout: str, model: Transformer
    ) -> dict[tuple[str, str, int], Directions]:
        """Fit and score probes of a model at every token and depth. For the trained model
        (``readout`` "model") this includes shuffled labels, and the directions are returned."""
        rng, batch, found = encoding_rng(self.seed), self.params.batch_size, {}
        seen = read(model, self.fit_mazes, rng, batch)
        new = {split: read(model, mazes, rng, batch) for split, mazes in self.held_out.items()}
        for (nth, token), depth in product(enumerate(TOKENS), range(len(depths(model)))):
            resid, x = (
                seen[nth, depth],
                {split: values[nth, depth] for split, values in new.items()},
            )
            for name, fact in self.known.items():
                probe = fit(resid, fact, self.params.penalties)
                self._score(Readout(name, token, depth, readout), x, probe)
                if readout == "model":
                    control = fit(resid, self.dealt[name], self.params.penalties)
                    self._score(Readout(name, token, depth, "shuffled_labels"), x, control)
                    found[name, token, depth] = self._directions(resid, fact, probe, control)
        return found

    def _directions(
        self, resid: np.ndarray, fact: Fact, probe: Probe, control: Probe
    ) -> Directions:
        sign = -1.0 if fact.is_number else 1.0
        return Directions(
            probe=sign * probe.weight,
            shuffled_labels=sign * control.weight,
            mean_difference=mean_differences(resid, fact),
            given_target=given_target(resid, fact, self.fit_mazes.target),
            is_known=probe.is_fitted,
        )

    def _score(self, at: Readout, x: Mapping[str, np.ndarray], probe: Probe) -> None:
        for split, values in x.items():
            for unit, (value, n) in score(values, self.asked[split][at.fact], probe).items():
                self.rows.append(ProbeRow(split, *at, unit, value, n))
