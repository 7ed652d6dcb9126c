"""The claims, each with the rule that decides it (science, section 4).

``supported``: the whole interval lies above the control. ``refuted``: the whole interval lies below it, or on it.
``undecided``: the control lies inside the interval, or there was nothing to measure (n = 0).
"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mazewm.scores.effects import Effect, strongest
from mazewm.scores.statistics import NOTHING, Interval, bootstrap, rounded

Verdict = Literal["supported", "refuted", "undecided"]
CONTROL_READOUTS = ("shuffled_labels", "frozen_decoder", "untrained_model")


@dataclass(frozen=True)
class Claim:
    """One claim about one run."""

    id: str
    statement: str
    measure: str  # what value, interval and control are
    value: float
    low: float
    high: float
    control: float
    control_name: str
    n: int
    verdict: Verdict

    def as_json(self) -> dict[str, object]:
        """For metrics/claims.json."""
        return {name: rounded(value) if isinstance(value, float) else value for name, value in asdict(self).items() if name != "id"}


def decide(interval: Interval, control: float) -> Verdict:
    """The rule of this module's docstring."""
    if interval.n == 0 or interval.low <= control < interval.high:
        return "undecided"
    return "supported" if interval.low > control else "refuted"


def claim(id: str, statement: str, measure: str, interval: Interval, control: float, control_name: str) -> Claim:
    """A claim decided by ``decide``."""
    return Claim(
        id, statement, measure, interval.value, interval.low, interval.high, control, control_name, interval.n, decide(interval, control)
    )


def encodes_connections(features: pd.DataFrame, site: str) -> Claim:
    """C1: each connection's best tree on latents (Matthews correlation) beats the best control's."""
    best = features[features.site == site].groupby(["readout", "connection"]).mcc.max()
    controls = {name: float(best[name].mean()) for name in CONTROL_READOUTS if name in best.index.get_level_values(0)}
    name = max(controls, key=lambda control: controls[control])
    return claim(
        "C1", "SAE latents encode single connections", "MCC of the best tree on latents, mean over connections",
        bootstrap(best["latents"].to_numpy()), controls[name], f"the same with {name}",
    )  # fmt: skip


def has_connectivity_heads(attention: pd.DataFrame, token_class: str, threshold: float) -> Claim:
    """C2: in block 0 the head with most own_mass at the consolidation token exceeds its controls and the threshold."""
    rows = attention[(attention.layer == 0) & (attention.token_class == token_class) & (attention.measure == "own_mass")]
    own = rows[rows.control == "none"]
    top = own.loc[own["mean"].idxmax()]
    half = 1.96 * top.sd / np.sqrt(top.n)
    beside = rows[(rows["head"] == top["head"]) & (rows.control != "none")].set_index("control")["mean"]
    bars = {"the threshold of a connectivity head": threshold} | {f"{kind} attention": float(mass) for kind, mass in beside.items()}
    name = max(bars, key=lambda bar: bars[bar])
    return claim(
        "C2", "block 0 has connectivity heads", f"own_mass of head 0.{int(top['head'])} at {token_class}, mean over mazes",
        Interval(float(top["mean"]), float(top["mean"] - half), float(top["mean"] + half), int(top.n)), bars[name], name,
    )  # fmt: skip


def directions_agree(consistency: pd.DataFrame, site: str) -> Claim:
    """C3a: among the connections that share the token's own cell, d(e) comes closest to the decoder direction of e's latent.

    The rank among all connections (AUROC) is no test of the heads: any direction that adds up two cells does well by it.
    """
    rows = consistency[(consistency.site == site) & (consistency.path == "heads")]
    binding = rows[rows["heads"] == "binding"].picked.to_numpy()
    bars = {"chance": float(rows.picked_chance.mean())} if len(rows) else {"chance": 0.0}
    other = rows[rows["heads"] == "other"].picked
    if len(other):
        bars["the block's other heads"] = float(other.mean())
    name = max(bars, key=lambda bar: bars[bar])
    return claim(
        "C3a", "circuit and SAE agree in direction", "share of spellings whose d(e) is nearest to e's latent",
        bootstrap(binding) if len(binding) else NOTHING, bars[name], name,
    )  # fmt: skip


def knockout_is_specific(knockouts: pd.DataFrame, site: str) -> Claim:
    """C3b: without the binding heads e's latent goes out; without the others it stays, and so do other connections' latents."""
    rows = knockouts[(knockouts.site == site) & (knockouts.ablation == "mean")]
    binding = rows[rows["heads"] == "binding"]
    controls = {"without the other heads": rows[rows["heads"] == "others"].effect_own, "other connections' latents": binding.effect_other}
    means = {name: float(effect.mean()) for name, effect in controls.items() if len(effect)}
    name = max(means, key=lambda control: means[control]) if means else "nothing to compare with"
    return claim(
        "C3b", "binding heads drive their connection's latent and no other", "1 - z_ablated / z_clean without the binding heads",
        bootstrap(binding.effect_own.to_numpy()) if len(binding) else NOTHING, means.get(name, 0.0), name,
    )  # fmt: skip


def is_causal(id: str, verb: str, effect: Effect, controls: list[Effect]) -> Claim:
    """C4: rollouts follow an edit of e's latents more than any control at the same place and dose."""
    control = strongest(controls)
    setting = f"{effect.n_latents} latents at {effect.where}, dose {effect.dose:g}"
    statement = f"{verb} a connection's latents changes the path as predicted"
    return claim(id, statement, f"follows_edit: {setting}", effect.follows, control.follows.value, control.method)


def is_asymmetric(added: Effect, removed: Effect) -> Claim:
    """C5: follows_edit(add) - follows_edit(remove), among examples that the model solves before the edit."""
    interval = bootstrap(added.flags.to_numpy(), removed.flags.to_numpy(), statistic=lambda a, b: float(a.mean() - b.mean()))
    return claim(
        "C5", "activating works better than suppressing", "follows_edit(add) - follows_edit(remove)", interval, 0.0, "no difference"
    )


def code_differs(latents_needed: dict[str, list[float]]) -> Claim:
    """C7: latents_per_connection differs between encodings by more than between seeds of one encoding.

    Takes, for each encoding, its mean latents_per_connection with each seed. With fewer than two seeds of each encoding, seeds
    and encodings cannot be told apart and the claim is undecided.
    """
    means = {name: float(np.mean(values)) for name, values in latents_needed.items()}
    high, low = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    a, b = latents_needed[high], latents_needed[low]
    n = min(map(len, latents_needed.values())) if len(latents_needed) > 1 else 0
    difference = means[high] - means[low]
    interval = Interval(difference, difference, difference, 0)
    if n >= 2:
        half = 1.96 * float(np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b)))
        interval = Interval(difference, difference - half, difference + half, n)
    return claim(
        "C7", "positional encodings change the code", f"latents_per_connection, {high} - {low}, over seeds", interval, 0.0, "no difference"
    )
