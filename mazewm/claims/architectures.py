"""SAEs of several architectures side by side, where connections are read
(docs/science.md#architectures)."""

from typing import Any

import pandas as pd

from mazewm.claims.draws import best_draw, by_draw
from mazewm.claims.statistics import mean, paired

# families of SAEs, in the table ``saes``; as readouts they have the same names, but for the study's
STUDY, CONTROL, UNTRAINED = "trained", "frozen_decoder", "untrained_model"
STUDY_READOUT = "latents"


def architectures(
    saes: pd.DataFrame, descriptions: pd.DataFrame, singles: pd.DataFrame, boards: pd.DataFrame
) -> pd.DataFrame:
    """A row for the study's SAE, for each other architecture, and for the control, SAEs of random
    directions; ``saes`` and ``descriptions`` are of the place that ``singles`` and ``boards`` read.

    * ``explained_variance``, ``l0`` and ``n_dead``, of ``width`` latents, over all test tokens; of
      several draws, of the first;
    * ``mcc``: of the best single latents, mean over draws and ``n`` connections, with its interval;
      ``lowest`` and ``highest``: of single draws; ``gap``: less that of the control, paired by
      connection, with its interval;
    * ``coverage`` and ``board_f1``: mean over draws.

    Of the control, the best draw counts: for ``mcc``, and by itself for ``coverage`` and for
    ``board_f1``. The other draws are in ``lowest``."""
    counted = saes[saes.family != UNTRAINED]
    first = counted[counted.draw == 0].set_index("family")
    control = best_draw(singles, CONTROL)
    described = descriptions[descriptions.token_class == "all"].set_index("sae")
    rows = []
    for family in sorted(first.index, key=_order):
        one, quality = first.loc[family], described.loc[first.kind[family]]
        readout = STUDY_READOUT if family == STUDY else family
        draws, board = by_draw(singles, readout), boards[boards.readout == readout]
        best = family == CONTROL
        own = control if best else draws.mean(axis=1)
        found = mean(own.dropna())
        row: dict[str, Any] = {
            "architecture": CONTROL if best else one.activation,
            "is_study": family == STUDY,
            "n_draws": draws.shape[1],
            "n_samples": int(one.n_samples),
            "width": int(one.width),
            "sparsity": float(one.sparsity),
            "lr": float(one.lr),
            **quality[["explained_variance", "l0", "n_dead"]].to_dict(),
            "mcc": found.value, "mcc_low": found.low, "mcc_high": found.high, "n": found.n,
            "lowest": draws.mean().min(), "highest": draws.mean().max(),
        }  # fmt: skip
        if not best:
            gap = paired(own, control).interval
            row |= {"gap": gap.value, "gap_low": gap.low, "gap_high": gap.high}
        for name, measured in {"coverage": board.coverage, "board_f1": board.f1}.items():
            row[name] = measured.max() if best else measured.mean()
        rows.append(row)
    return pd.DataFrame(rows)


def _order(family: str) -> tuple[bool, bool]:
    """The study's first, the control last."""
    return family == CONTROL, family != STUDY
