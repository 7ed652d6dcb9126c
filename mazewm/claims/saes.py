"""The SAE sweep and the taxonomy as small tables."""

import pandas as pd

from mazewm.claims.statistics import mean


def frontier(rows: pd.DataFrame) -> pd.DataFrame:
    """The points of the SAE sweep (rows of FrontierRow), with ``mcc`` as the mean over
    ``n_connections`` connections and the ends of its interval."""
    found = [mean(mcc) for mcc in rows.mcc]
    more = {
        "mcc": [m.value for m in found],
        "mcc_low": [m.low for m in found],
        "mcc_high": [m.high for m in found],
    }
    return rows.drop(columns="mcc").assign(**more, n_connections=[m.n for m in found])


def kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """How many latents of each kind every SAE has, as columns place, sae, kind and n.

    >>> rows = pd.DataFrame({"place": "0.resid_post", "sae": "trained", "kind": ["cell", "cell"]})
    >>> kinds(rows).n.tolist()
    [2]
    """
    return rows.groupby(["place", "sae", "kind"], sort=False).size().rename("n").reset_index()
