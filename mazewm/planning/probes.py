"""Linear probes for facts that no single token states, at the last tokens before the model's answer
and at every depth, with controls (docs/science.md#fact-probes).

Tokens: the last three of the prompt, ``target <TARGET_END> <PATH_START>``, and ``origin``, the
first of the path (module ``reading``).

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
from jaxtyping import Bool, Float

from mazewm.io.streams import stream
from mazewm.maze.mazes import Mazes
from mazewm.planning.errors import Held, Readout, check_apart
from mazewm.planning.facts import FACTS, Fact, unstated
from mazewm.planning.fitting import Probe, fit, given_target, mean_differences, shuffled
from mazewm.planning.reading import LAST, Seen


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


class FactProbes:
    """The mazes on which probes are fitted and scored, their facts, and the errors so far.

    BadInput if a held-out split shares a connection set with the mazes for fitting."""

    def __init__(
        self, fit_mazes: Mazes, held_out: Mapping[str, Mazes], penalties: list[float], seed: int
    ) -> None:
        for mazes in held_out.values():
            check_apart(fit_mazes, mazes)
        self.fit_mazes, self.penalties, self.known = fit_mazes, penalties, unstated(fit_mazes)
        self.held_out = [Held(name, some, unstated(some)) for name, some in held_out.items()]
        self.dealt = {
            name: shuffled(self.known[name], stream("probes: shuffled labels", seed))
            for name in FACTS
        }
        self.parts = list[pd.DataFrame]()

    def read_model(self, readout: str, seen: Seen) -> dict[tuple[str, str, int], Directions]:
        """Fit and score probes at every token and depth. For the trained model (``readout``
        "model") this includes shuffled labels, and the directions are returned, by fact, token and
        depth."""
        found = {}
        for (nth, token), depth in product(enumerate(LAST), range(seen.fitted.shape[1])):
            x = {split: values[nth, depth] for split, values in seen.held_out.items()}
            for name, fact in self.known.items():
                probe = fit(resid := seen.fitted[nth, depth], fact, self.penalties)
                self._score(Readout(name, token, depth, readout), x, probe)
                if readout == "model" and name in FACTS:
                    control = fit(resid, self.dealt[name], self.penalties)
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
        self.parts += [held.rows(at, x[held.split], probe) for held in self.held_out]
