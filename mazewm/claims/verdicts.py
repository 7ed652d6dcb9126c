"""Claims C1 to C3, each with its rule (docs/science.md#claims).

Where value and control were measured on the same connections or examples, their difference is
paired. Verdicts are given by ``claim.decided`` to all claims of a run together.

Heads (C2, C3) are chosen and measured on the same held-out mazes; with hundreds of mazes and a few
heads the bias of this choice is small.
"""

import pandas as pd

from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.statistics import Sample, fixed, mean, paired, unpaired
from mazewm.claims.trees import deepest_trees

BOTH_KNOWN = ("c2", ";")  # tokens from which both cells of the connection are visible
CONTROL_READOUTS = ("shuffled_labels", "frozen_decoder", "untrained_model")


def encodes_connections(features: pd.DataFrame, site: str) -> Claim:
    """C1: the deepest trees on latents have a higher Matthews correlation than those of every
    control, paired by connection."""
    trees = (
        deepest_trees(features[features.site == site])
        .set_index(["readout", "connection"])
        .mcc.unstack("readout")
    )
    controls = [
        Control(
            f"the same with {name}",
            mean(trees[name].dropna()),
            paired(trees["latents"], trees[name]),
        )
        for name in CONTROL_READOUTS
        if name in trees
    ]
    return claim(
        "C1",
        "SAE latents encode single connections",
        "MCC of the deepest tree on latents, mean over connections",
        mean(trees["latents"].dropna()),
        controls,
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


def has_connectivity_heads(attention: pd.DataFrame) -> Claim:
    """C2: the head of block 0 with the largest own_mass at ``c2`` or ``;`` looks at its connection
    more than uniform attention does, and more than at another connection's coordinates.

    The table has means and standard deviations over mazes, not single mazes, so the differences are
    not paired: both standard errors count, which is too wide rather than too narrow. (At ``<-->``
    any head that attends one token back would qualify.)"""
    top = top_head(attention)
    rows = attention[
        (attention.layer == 0)
        & (attention["head"] == top["head"])
        & (attention.token_class == top.token_class)
        & (attention.measure == "own_mass")
        & (attention.control != "none")
    ]
    own = _over_mazes(top)
    controls = [
        Control(f"{row.control} attention", other.interval, unpaired(own, other))
        for _, row in rows.iterrows()
        for other in [_over_mazes(row)]
    ]
    measure = f"own_mass, mean over mazes: head 0.{int(top['head'])} at {top.token_class}"
    return claim("C2", "block 0 has connectivity heads", measure, own.interval, controls)


def _over_mazes(row: pd.Series) -> Sample:
    return Sample(float(row["mean"]), float(row.sd), int(row.n))


def directions_agree(consistency: pd.DataFrame, site: str) -> Claim:
    """C3a: among the connections that share the token's own cell, d(e) of the binding heads has the
    largest cosine with the decoder direction of e's latent, more often than chance and than d(e) of
    the block's other heads for the same connections (docs/science.md#picked).

    AUROC and rank among all connections would not test the heads: any sum over two cells does well
    on them."""
    rows = consistency[(consistency.site == site) & (consistency.path == "heads")]
    sets = {str(name): part.set_index("connection") for name, part in rows.groupby("heads")}
    statement = "circuit and SAE agree in direction"
    measure = "share of the ways to encode e whose d(e) is nearest to e's latent"
    if "binding" not in sets:
        return unmeasured("C3a", statement, measure, "no binding head")
    own = sets["binding"]
    controls = [
        Control(
            "chance, by counting",
            fixed(float(own.picked_chance.mean())),
            paired(own.picked, own.picked_chance),
        )
    ]
    if "other" in sets:
        other = sets["other"].picked
        controls.append(Control("the block's other heads", mean(other), paired(own.picked, other)))
    return claim("C3a", statement, measure, mean(own.picked), controls)


def knockout_is_specific(knockouts: pd.DataFrame, site: str) -> Claim:
    """C3b: ablating the binding heads lowers e's latent more than ablating the other heads does.

    At sites after block 0 it must also lower it more than other connections' latents at their own
    tokens, which an ablation in block 0 cannot reach (docs/science.md#knock-out)."""
    rows = knockouts[(knockouts.site == site) & (knockouts.ablation == "mean")]
    effects = {str(name): part.set_index("connection") for name, part in rows.groupby("heads")}
    statement = "binding heads drive their connection's latent"
    measure = "1 - z_ablated / z_clean without the binding heads"
    if "binding" not in effects:
        return unmeasured("C3b", statement, measure, "no binding head to ablate")
    own = effects["binding"].effect_own
    others = {}
    if "others" in effects:
        others["without the block's other heads"] = effects["others"].effect_own
    if not site.startswith("0."):
        others["other connections' latents"] = effects["binding"].effect_other
    controls = [Control(name, mean(other), paired(own, other)) for name, other in others.items()]
    return claim("C3b", statement, measure, mean(own), controls)


# What follows, C4 to C6, is about to be measured anew.
