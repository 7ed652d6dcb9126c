"""From the tables of circuits to figures: which heads bind, and along which edges a connection
comes to the path (docs/science.md#attention-and-circuits)."""

import pandas as pd

from mazewm.circuits.binding import N_RANDOM
from mazewm.circuits.edges import EDGES
from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.explained import gap, value_of
from mazewm.claims.statistics import Contrast, Interval, Ratio, contrast

RANDOM = [f"random {nth}" for nth in range(N_RANDOM)]
SHOWN = ("binding", "others")


def _lost(one: pd.DataFrame, sets: list[str]) -> Ratio:
    """What is lost if only these heads read the change, the mean over several sets."""
    return Ratio(one["none"] - one[sets].mean(axis=1), one["none"] - one["all"])


def by_heads(binding: pd.DataFrame, site: str) -> pd.DataFrame:
    """The projections at a site, a row for each maze and a column for each set of heads."""
    here = binding[binding.site == site]
    return here.pivot(index=["maze_id", "connection_set"], columns="heads", values="projection")


def binds_the_cells(binding: pd.DataFrame, site: str) -> Claim:
    """C2: if only the binding heads read another first cell, more of a connection's direction at
    the consolidation site is lost than if only all others do, and than if as many do that are drawn
    at random from all."""
    statement = "at most half of the heads of the first blocks bind the two cells"
    measure = f"share lost at {site} if only the binding heads read another first cell"
    wide = by_heads(binding, site)
    if "binding" not in wide:
        return unmeasured(
            "C2",
            statement,
            measure,
            "no head brings the first cell there, or none is less than half",
        )
    own, clusters = _lost(wide, ["binding"]), wide.index.get_level_values("connection_set")
    controls = []
    for name, sets in {"all other heads": ["others"], "as many heads at random": RANDOM}.items():
        other = _lost(wide, sets)
        value = contrast([other], [], clusters).interval
        controls.append(Control(name, value, contrast([own], [other], clusters)))
    return claim("C2", statement, measure, contrast([own], [], clusters).interval, controls)


def binding_shares(binding: pd.DataFrame) -> pd.DataFrame:
    """What is lost at each site by each head and set of heads, with intervals; the sets at random
    together."""
    rows = list[dict[str, object]]()
    for site in binding.site.unique():
        wide = by_heads(binding, site)
        clusters = wide.index.get_level_values("connection_set")
        alone = [name for name in wide.columns if "." in name]
        sets = {name: [name] for name in (*SHOWN, *alone) if name in wide}
        sets |= {"random": RANDOM} if RANDOM[0] in wide else {}
        for name, some in sets.items():
            found = contrast([_lost(wide, some)], [], clusters).interval
            rows.append({"site": site, "heads": name, "lost": found.value} | _ends(found))
    return pd.DataFrame(rows, columns=["site", "heads", "lost", "low", "high", "n"])


def _ends(one: Interval) -> dict[str, object]:
    return {"low": one.low, "high": one.high, "n": one.n}


class Edges:
    """The metric of pairs of mazes under sets of edges. Only pairs count of which the model prefers
    the right next cell in both runs; ``n_wrong`` are left out."""

    def __init__(self, rows: pd.DataFrame) -> None:
        if rows.empty:
            self.n_wrong, self.wide = 0, pd.DataFrame()
            return
        keys = ["pair", "connection_set"]
        wide = rows.pivot(index=keys, columns=["kind", "of"], values="metric")
        is_right = (wide["none", ""] > 0) & (wide["all", ""] < 0)
        self.n_wrong, self.wide = int((~is_right).sum()), wide[is_right]

    def effect(self, *cuts: tuple[str, str]) -> Ratio:
        """The effect of the edges that a cut leaves open, the mean over several."""
        none, whole = self.wide["none", ""], self.wide["all", ""]
        return Ratio(none - self.wide[list(cuts)].mean(axis=1), none - whole)

    def lost(self, cut: tuple[str, str]) -> Ratio:
        """What a cut loses."""
        whole = self.wide["all", ""]
        return Ratio(self.wide[cut] - whole, self.wide["none", ""] - whole)

    def contrast(self, plus: Ratio, *minus: Ratio) -> Contrast:
        """Effects compared over the same pairs."""
        return contrast([plus], list(minus), self.wide.index.get_level_values("connection_set"))

    def of_kind(self, kind: str) -> list[tuple[str, str]]:
        """All cuts of a kind."""
        return [(str(name), str(of)) for name, of in self.wide.columns if name == kind]


def edge_shares(edges: Edges, circuit: pd.DataFrame) -> pd.DataFrame:
    """What every cut loses, with intervals, and whether an edge is one of the circuit; and the
    effect of the circuit and of what it is compared with."""
    columns = ["kind", "of", "value", "low", "high", "n", "is_in_circuit"]
    if edges.wide.empty:
        return pd.DataFrame(columns=columns)
    chosen, rows = set(circuit.source + " > " + circuit.to), list[dict[str, object]]()
    for kind in ("cut", "from", "direct", "head"):
        for cut in edges.of_kind(kind):
            found = edges.contrast(edges.lost(cut)).interval
            value = {"kind": kind, "of": cut[1], "value": found.value}
            rows.append(value | _ends(found) | {"is_in_circuit": cut[1] in chosen})
    for kind in ("circuit", "complement", "random"):
        found = edges.contrast(edges.effect(*edges.of_kind(kind))).interval
        rows.append(
            {"kind": kind, "of": "", "value": found.value}
            | _ends(found)
            | {"is_in_circuit": kind == "circuit"}
        )
    return pd.DataFrame(rows, columns=columns)


def is_a_circuit(edges: Edges, circuit: pd.DataFrame) -> Claim:
    """C2b: the edges chosen on validation mazes bring more of a connection to the path than all
    other edges together, and than as many edges drawn at random from all."""
    statement = "a minority of the edges brings a connection to the path"
    names = ", ".join(circuit.source + " > " + circuit.to)
    measure = f"effect with these {len(circuit)} of {len(EDGES)} edges only ({names})"
    if edges.wide.empty or circuit.empty:
        reason = "no pair is read right in both runs" if len(circuit) else "no edge was needed"
        return unmeasured("C2b", statement, measure, reason)
    own = edges.effect(("circuit", ""))
    controls = []
    for name, kind in {
        "all other edges": "complement",
        "as many edges at random": "random",
    }.items():
        other = edges.effect(*edges.of_kind(kind))
        value = edges.contrast(other).interval
        controls.append(Control(name, value, edges.contrast(own, other)))
    return claim("C2b", statement, measure, edges.contrast(own).interval, controls)


CIRCUITS = {"others": "all other heads", "token": "no head: the token itself"}


def predicts_latents(predictions: pd.DataFrame, site: str) -> Claim:
    """C3d: with all heads but the binding heads replaced by their means at a connection's token,
    the values of the best latents of all connections are closer to those of the whole model than
    with the binding heads replaced, and than with all of them."""
    statement = "the binding heads predict the values of latents"
    measure = f"explained variance of the best latents at {site} with the binding heads only"
    here = predictions[predictions.site == site]
    parts = {str(name): rows.set_index("maze_id") for name, rows in here.groupby("circuit")}
    if not parts:
        return unmeasured(
            "C3d", statement, measure, "no binding head, or no latent of a connection"
        )
    own = parts["binding"]
    controls = [
        Control(name, value_of(parts[circuit]), gap(own, parts[circuit]))
        for circuit, name in CIRCUITS.items()
    ]
    return claim("C3d", statement, measure, value_of(own), controls)


def predicted_values(predictions: pd.DataFrame) -> pd.DataFrame:
    """For every site, circuit and connection the mean value of its latent and the mean that the
    circuit predicts; and for every site and circuit (``connection`` -1) the explained variance of
    all latents."""
    rows = list[dict[str, object]]()
    for (site, circuit), mine in predictions.groupby(["site", "circuit"], sort=False):
        found = value_of(mine)
        columns = {"site": site, "circuit": circuit}
        ends = {"explained": found.value} | _ends(found)
        rows.append(columns | {"connection": -1, "value": 0.0, "predicted": 0.0} | ends)
        means = mine.groupby("connection").agg(
            value=("value", "mean"), predicted=("predicted", "mean"), n=("value", "size")
        )
        nothing = {"explained": 0.0, "low": 0.0, "high": 0.0}
        rows += [columns | nothing | row for row in means.reset_index().to_dict("records")]
    names = ["site", "circuit", "connection", "value", "predicted", "explained", "low", "high", "n"]
    return pd.DataFrame(rows, columns=names)
