"""The claims, each with the rule that decides it (docs/science.md#claims).

``supported``: the whole interval lies above the control. ``refuted``: the whole interval lies below
it, or ends at it. ``undecided``: the control lies inside the interval, or there is no data (n = 0).
Where value and control were measured on the same connections or examples, the interval is that of
their paired difference, shifted by the control's mean.

Heads (C2, C3) are chosen and measured on the same held-out mazes; with hundreds of mazes and a few
heads the bias of this choice is small.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd

from mazewm.claims.effects import Effect, among, strongest
from mazewm.claims.statistics import (
    NOTHING,
    Clustered,
    Interval,
    bootstrap,
    cluster_bootstrap,
    rounded,
)
from mazewm.claims.trees import deepest_trees

Verdict = Literal["supported", "refuted", "undecided"]
BOTH_KNOWN = ("c2", ";")  # tokens from which both cells of the connection are visible
CONTROL_READOUTS = ("shuffled_labels", "frozen_decoder", "untrained_model")


@dataclass(frozen=True)
class Claim:
    """One claim about one run, with its verdict."""

    id: str
    statement: str
    measure: str  # what value, interval and control measure
    value: float
    low: float
    high: float
    control: float
    control_name: str
    n: int
    verdict: Verdict

    def as_text(self) -> str:
        """One line: what was measured, its interval, and what it is compared with."""
        interval = f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.measure}: {interval}, {self.control_name} {self.control:.3f}"

    def as_json(self) -> dict[str, object]:
        """All fields but the id, for metrics/claims.json."""
        return {
            name: rounded(value) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if name != "id"
        }


def paired(own: pd.Series, control: pd.Series) -> Interval:
    """The mean of ``own``; its interval is the bootstrap interval of its difference from
    ``control`` (paired by index), shifted by control's mean."""
    gap = bootstrap((own.astype(float) - control.astype(float)).dropna().to_numpy())
    if gap.n == 0:
        return NOTHING
    return Interval(
        float(own.mean()), float(control.mean()) + gap.low, float(control.mean()) + gap.high, gap.n
    )


def decide(interval: Interval, control: float) -> Verdict:
    """The verdict by the rule in this module's docstring."""
    if interval.n == 0 or interval.low <= control < interval.high:
        return "undecided"
    return "supported" if interval.low > control else "refuted"


def claim(
    id: str, statement: str, measure: str, interval: Interval, control: float, control_name: str
) -> Claim:
    """A claim with the verdict that ``decide`` gives."""
    return Claim(
        id,
        statement,
        measure,
        interval.value,
        interval.low,
        interval.high,
        control,
        control_name,
        interval.n,
        decide(interval, control),
    )


def encodes_connections(features: pd.DataFrame, site: str) -> Claim:
    """C1: the deepest trees on latents have a higher Matthews correlation than those of the best
    control, paired by connection."""
    trees = (
        deepest_trees(features[features.site == site])
        .set_index(["readout", "connection"])
        .mcc.unstack("readout")
    )
    controls = {name: float(trees[name].mean()) for name in CONTROL_READOUTS if name in trees}
    name = max(controls, key=lambda control: controls[control])
    interval = paired(trees["latents"], trees[name])
    measure = "MCC of the deepest tree on latents, mean over connections"
    return claim(
        "C1",
        "SAE latents encode single connections",
        measure,
        interval,
        controls[name],
        f"the same with {name}",
    )


def top_head(attention: pd.DataFrame) -> pd.Series:
    """The own_mass row of the head of block 0 with the largest own_mass at ``c2`` or ``;``."""
    rows = attention[
        (attention.layer == 0)
        & attention.token_class.isin(BOTH_KNOWN)
        & (attention.measure == "own_mass")
    ]
    own = rows[rows.control == "none"]
    return own.loc[own["mean"].idxmax()]


def has_connectivity_heads(attention: pd.DataFrame, threshold: float) -> Claim:
    """C2: the head of block 0 with the largest own_mass at ``c2`` or ``;`` exceeds its controls
    there and ``threshold``. (At ``<-->`` any head that attends one token back would qualify.)"""
    top = top_head(attention)
    rows = attention[
        (attention.layer == 0)
        & (attention.token_class == top.token_class)
        & (attention.measure == "own_mass")
    ]
    half = 1.96 * top.sd / np.sqrt(top.n)
    beside = rows[(rows["head"] == top["head"]) & (rows.control != "none")].set_index("control")[
        "mean"
    ]
    bars = {"the threshold of a connectivity head": threshold} | {
        f"{kind} attention": float(mass) for kind, mass in beside.items()
    }
    name = max(bars, key=lambda bar: bars[bar])
    return claim(
        "C2",
        "block 0 has connectivity heads",
        f"own_mass, mean over mazes: head 0.{int(top['head'])} at {top.token_class}",
        Interval(
            float(top["mean"]), float(top["mean"] - half), float(top["mean"] + half), int(top.n)
        ),
        bars[name],
        name,
    )


def directions_agree(consistency: pd.DataFrame, site: str) -> Claim:
    """C3a: among the connections that share the token's own cell, d(e) has the largest cosine with
    the decoder direction of e's latent (docs/science.md#picked).

    AUROC and rank among all connections would not test the heads: any sum over two cells does well
    on them."""
    rows = consistency[(consistency.site == site) & (consistency.path == "heads")]
    binding = rows[rows["heads"] == "binding"].picked.to_numpy()
    bars = {"chance": float(rows.picked_chance.mean())} if len(rows) else {"chance": 0.0}
    other = rows[rows["heads"] == "other"].picked
    if len(other):
        bars["the block's other heads"] = float(other.mean())
    name = max(bars, key=lambda bar: bars[bar])
    return claim(
        "C3a",
        "circuit and SAE agree in direction",
        "share of spellings whose d(e) is nearest to e's latent",
        bootstrap(binding) if len(binding) else NOTHING,
        bars[name],
        name,
    )


def knockout_is_specific(knockouts: pd.DataFrame, site: str) -> Claim:
    """C3b: ablating the binding heads lowers e's latent more than ablating the other heads does.

    At sites after block 0 it must also lower it more than other connections' latents at their own
    tokens, which an ablation in block 0 cannot reach (docs/science.md#knock-out)."""
    rows = knockouts[(knockouts.site == site) & (knockouts.ablation == "mean")]
    effects = {name: part.set_index("connection") for name, part in rows.groupby("heads")}
    statement, measure = (
        "binding heads drive their connection's latent",
        "1 - z_ablated / z_clean without the binding heads",
    )
    if "binding" not in effects:
        return claim("C3b", statement, measure, NOTHING, 0.0, "no binding head to remove")
    own = effects["binding"].effect_own
    controls = (
        {"without the block's other heads": effects["others"].effect_own}
        if "others" in effects
        else {}
    )
    if not site.startswith("0."):
        controls["other connections' latents"] = effects["binding"].effect_other
    if not controls:
        return claim("C3b", statement, measure, NOTHING, 0.0, "no other head to compare with")
    name = max(controls, key=lambda control: float(controls[control].mean()))
    return claim(
        "C3b", statement, measure, paired(own, controls[name]), float(controls[name].mean()), name
    )


def paired_rates(own: Effect, control: Effect) -> Interval:
    """follows_edit of ``own``; its interval is that of its difference from ``control`` on the same
    examples, shifted by control's rate. Whole connection sets are resampled."""
    return paired_shares(own.outcomes, control.outcomes, "follows_edit")


def paired_shares(own: pd.DataFrame, control: pd.DataFrame, flag: str) -> Interval:
    """As ``paired_rates`` for any column ``flag``, from frames indexed by example that also have a
    column ``connection_set``."""
    both = own.join(control[flag].rename("control"), how="inner")
    gap = cluster_bootstrap(
        Clustered(both[flag].astype(float) - both.control.astype(float), both.connection_set)
    )
    if gap.n == 0:
        return NOTHING
    bar = float(control[flag].mean())
    return Interval(float(own[flag].mean()), bar + gap.low, bar + gap.high, gap.n)


def setting_of(effect: Effect) -> str:
    """The setting in words: number of latents, where, and dose."""
    return f"{effect.n_latents} latents at {effect.where}, dose {effect.dose:g}"


def is_causal(id: str, verb: str, effect: Effect, controls: list[Effect]) -> Claim:
    """C4: rollouts follow an edit of e's latents more often than any control with the same
    ``where`` and dose, on the same examples."""
    control = strongest(controls)
    statement = f"{verb} a connection's latents changes the path as predicted"
    interval = paired_rates(effect, control)
    return claim(
        id,
        statement,
        f"follows_edit: {setting_of(effect)}",
        interval,
        control.follows.value,
        control.method,
    )


def is_asymmetric(
    added: Effect, removed: Effect, added_as_tokens: Effect, removed_as_tokens: Effect
) -> Claim:
    """C5: follows_edit(add) - follows_edit(remove), both at one token, among examples that the
    model solves before the edit and whose edited maze it solves when it is given as tokens. So
    neither kind of edit is judged by mazes that are too hard for the model."""
    pairs = ((added, added_as_tokens), (removed, removed_as_tokens))
    one, other = (
        among(effect, tokens.outcomes.index[tokens.outcomes.follows_edit.astype(bool)])
        for effect, tokens in pairs
    )
    a, b = (
        Clustered(effect.outcomes.follows_edit, effect.outcomes.connection_set)
        for effect in (one, other)
    )
    interval = cluster_bootstrap(a, b)
    measure = "follows_edit(add) - follows_edit(remove), where the edited tokens are solved too: "
    measure += f"{setting_of(added)}; {setting_of(removed)}"
    return claim(
        "C5", "activating works better than suppressing", measure, interval, 0.0, "no difference"
    )


def holds_more_than_was_seen(latents: Effect, tokens: Effect, controls: list[Effect]) -> Claim:
    """C6a: on mazes with as many connections as the longest of training, rollouts follow added
    connections more often as latents than as tokens or under any control, on the same examples,
    with all numbers of added connections taken together."""
    control = strongest([tokens, *controls])
    return claim(
        "C6a",
        "connections beyond the training count work better as latents than as tokens",
        f"follows_edit: {setting_of(latents)}",
        paired_rates(latents, control),
        control.follows.value,
        "the same as tokens" if control is tokens else control.method,
    )


def fails_by_number(repeated: Effect, tokens: Effect, tokens_within: Effect) -> Claim:
    """C6b: of the loss when k more connections than in training are given as tokens, more is due to
    their number than to the prompt's length.

    The loss is ``tokens_within`` (k added as tokens within the training lengths) less ``tokens``.
    On prompts as long with no more connections than in training, some of them encoded twice
    (``repeated``, original path), the model must lose less than half of it."""
    statement = (
        "failure as tokens is due to the number of connections rather than to the prompt's length"
    )
    measure = "own path walked on prompts with connections spelled twice"
    bar = (tokens_within.follows.value + tokens.follows.value) / 2
    return claim(
        "C6b",
        statement,
        measure,
        repeated.follows,
        bar,
        "half of what is lost with as many different connections",
    )
