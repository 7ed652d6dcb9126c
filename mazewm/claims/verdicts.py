"""Claims C1, C3a and C3b, each with its rule (docs/science.md#claims).

Where value and control were measured on the same connections or examples, their difference is
paired. Verdicts are given by ``claim.decided`` to all claims of a run together.

Binding heads are chosen on validation mazes, and measured on test mazes.
"""

import pandas as pd

from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.draws import best_draw, by_draw
from mazewm.claims.statistics import fixed, mean, paired

CONTROL_READOUTS = ("shuffled_labels", "frozen_decoder", "untrained_model", "neurons")


def encodes_connections(singles: pd.DataFrame) -> Claim:
    """C1: the best single latent of a connection has a higher Matthews correlation with it than the
    best unit of every control, paired by connection. That of the latents is the mean over SAEs of
    several seeds; of the SAEs with random decoders, the one counts that does best of all draws,
    about the 97.5 % quantile of twenty. Unmeasured if a control is missing."""
    draws = by_draw(singles, "latents")
    own, n_seeds = draws.mean(axis=1), draws.shape[1]
    controls = []
    for name in CONTROL_READOUTS:
        best, n = best_draw(singles, name), singles.draw[singles.readout == name].nunique()
        label = f"best of {n} draws of {name}" if n > 1 else name
        controls.append(Control(label.replace("_", " "), mean(best), paired(own, best)))
    return claim(
        "C1",
        "single latents encode single connections",
        f"MCC of the best latent, mean over connections and {n_seeds} SAEs",
        mean(own.dropna()),
        controls,
    )


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
