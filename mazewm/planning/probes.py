"""Linear probes for facts that no single token states, at the last tokens before the model's answer
and at every depth, with controls (docs/science.md#fact-probes).

Tokens: the last three of the prompt, ``target <TARGET_END> <PATH_START>``, and ``origin``, the
first of the path. Every path starts at the origin, which the prompt contains, so none of these
tokens reveals part of the answer, as later tokens of the path would. Depth 0 is the embedding,
depth l the residual stream after l blocks.

A probe is a ridge regression for each cell or connection, fitted on the training mazes that count
for it. One penalty is chosen for all units together, on every fifth of these mazes. Probes are
scored on validation mazes, where token and depth are chosen, and on test mazes. The score is the
explained variance over all units and mazes, 1 - SSE / SST, with SST around each unit's mean among
the mazes for fitting (of yes and no: the skill of Brier's score).

Readouts of a residual stream: ``model``; ``untrained_model``, of the same architecture;
``shuffled_labels``, the trained model with the labels of other mazes (but not of the steps of a
search, module ``facts``). Readers without a model are in module ``inputs``.
"""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from mazewm.inference.edits import run
from mazewm.io.streams import stream
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import encode, encoding_rng, prompt_length
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.planning.errors import Held, Readout, check_apart
from mazewm.planning.facts import FACTS, Fact, facts, steps
from mazewm.planning.fitting import Probe, fit, given_target, mean_differences, shuffled
from mazewm.planning.params import PlanningParams

TOKENS = ("target", "<TARGET_END>", "<PATH_START>", "origin")


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


class Measured(NamedTuple):
    """The errors of every readout, rows of ProbeRow, and the directions by fact, token and
    depth."""

    rows: pd.DataFrame
    directions: dict[tuple[str, str, int], Directions]


def measure(
    model: Transformer,
    fit_mazes: Mazes,
    held_out: Mapping[str, Mazes],
    params: PlanningParams,
    seed: int,
) -> Measured:
    """Fit every probe (of the model, and of an untrained model) on ``fit_mazes``, and score it on
    each of the ``held_out`` splits.

    BadInput if a held-out split shares a connection set with ``fit_mazes``."""
    for mazes in held_out.values():
        check_apart(fit_mazes, mazes)
    study = _Study(fit_mazes, held_out, params, seed)
    directions = study.read_model("model", model)
    study.read_model("untrained_model", model.untrained(seed))
    return Measured(pd.concat(study.parts, ignore_index=True), directions)


class _Study:
    """The mazes on which probes are fitted and scored, their facts, and the errors so far."""

    def __init__(
        self, fit_mazes: Mazes, held_out: Mapping[str, Mazes], params: PlanningParams, seed: int
    ) -> None:
        self.fit_mazes, self.params, self.seed = fit_mazes, params, seed
        self.known = facts(fit_mazes) | steps(fit_mazes)
        self.held_out = {split: Held(split, mazes) for split, mazes in held_out.items()}
        self.dealt = {
            name: shuffled(self.known[name], stream("probes: shuffled labels", seed))
            for name in FACTS
        }
        self.parts = list[pd.DataFrame]()

    def read_model(
        self, readout: str, model: Transformer
    ) -> dict[tuple[str, str, int], Directions]:
        """Fit and score probes of a model at every token and depth. For the trained model
        (``readout`` "model") this includes shuffled labels, and the directions are returned."""
        rng, batch, found = encoding_rng(self.seed), self.params.batch_size, {}
        seen = read(model, self.fit_mazes, rng, batch)
        new = {split: read(model, each.mazes, rng, batch) for split, each in self.held_out.items()}
        for (nth, token), depth in product(enumerate(TOKENS), range(len(depths(model)))):
            resid = seen[nth, depth]
            x = {split: values[nth, depth] for split, values in new.items()}
            for name, fact in self.known.items():
                probe = fit(resid, fact, self.params.penalties)
                self._score(Readout(name, token, depth, readout), x, probe)
                if readout == "model" and name in FACTS:
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
        for split, each in self.held_out.items():
            rows = each.rows(x[split], at.fact, probe)
            self.parts.append(rows.assign(split=split, **at._asdict()))
