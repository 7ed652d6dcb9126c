"""A clone with results of one run on a 3 x 3 lattice, as small as trust.recount can count: tables
that are made up, and metrics/ that agree with what is counted of them.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trust.recount.__main__ import counted
from trust.recount.behaviour import ASKED, of_maze
from trust.recount.mazes import Lattice, unique_paths, with_added
from trust.recount.tables import COUNTS, Check, Counted

RUN = "rotary-all-0"
LATTICE = Lattice(3)
MOST = 3  # units that are edited together
SITE, OWN = "c1 and <ADJLIST_END>", "own c2"
METHODS = [("latents", 1), ("random_direction", 0), ("latents", MOST), ("mean_difference", 0)]
METHODS += [("frozen_decoder", MOST), ("residual_dimensions", MOST)]
Bits = list[bool]


def trees(n: int, n_connections: int) -> list[Bits]:
    """Trees with so many connections, drawn cell by cell."""
    rng, found = np.random.default_rng(n_connections), []
    for _ in range(n):
        cells, bits = {int(rng.integers(9))}, [False] * 12
        while sum(bits) < n_connections:
            edge = [i for i, (a, b) in enumerate(LATTICE.pairs()) if (a in cells) != (b in cells)]
            bits[one := int(rng.choice(edge))] = True
            cells |= set(LATTICE.pairs()[one])
        found.append(bits)
    return found


def mazes(many: Sequence[Bits]) -> pd.DataFrame:
    """Each with one of its paths."""
    paths = [list(unique_paths(LATTICE.near(bits)).values())[0] for bits in many]
    return pd.DataFrame({"maze_id": range(len(many)), "connections": many, "path": paths})


def answers(test: Sequence[Bits], overload: Sequence[Bits]) -> pd.DataFrame:
    """All questions, of which one in each second maze is not solved."""
    rows = [
        {"model": "trained", "split": split, "maze_id": i}
        | dict(zip(ASKED, of_maze(bits), strict=True))
        for split, many in (("test", test), ("overload", overload))
        for i, bits in enumerate(many)
    ]
    made, wrong = pd.DataFrame(rows), np.arange(len(rows)) % 2
    less = {
        f"n_{name}_solved": made[f"n_{name}"] - np.minimum(made[f"n_{name}"], wrong)
        for name in ("telling", "beyond")
    }
    return made.assign(n_solved=made.n_unique - wrong, **less)


def singles() -> pd.DataFrame:
    """Every readout in three draws, the random decoder's the best."""
    best = {"latents": 0.9, "frozen_decoder": 0.95, "neurons": 0.8, "shuffled_labels": 0.1}
    keys = [(name, draw, e) for name in best for draw in range(3) for e in range(12)]
    rows = pd.DataFrame(keys, columns=["readout", "draw", "connection"])
    return rows.assign(mcc=rows.readout.map(best) - 0.01 * (rows.connection % 4) - rows.draw / 100)


def twins(test: Sequence[Bits]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs of mazes, and single answers about them: in the prompt all agree, by other methods
    fewer and fewer."""
    pairs, edited, rng = [], [], np.random.default_rng(0)
    places = {"add": ("0.resid_post", SITE), "remove": ("0.resid_post", OWN)}
    told = [("tokens", 0, "", "", 1.0, 1.0)]
    for i, bits in enumerate(test):
        cells, shut = LATTICE.near(bits), [e for e in range(12) if not bits[e]]
        e = next(e for e in shut if set(LATTICE.pairs()[e]) <= set(cells))
        before, after = unique_paths(cells), unique_paths(LATTICE.near(with_added(bits, [e])))
        both = sorted(before.keys() & after.keys())
        pairs.append(("add", 1, i, bits, [e], -1, len(both), 0, 0.0, 0.0))
        for kind, place in places.items():
            inside = [
                (*method, *place, dose, 0.9 - 0.1 * nth)
                for nth, method in enumerate(METHODS)
                for dose in (1.0, 2.0)
            ]
            if kind == "remove":
                inside += [("mean_difference", 0, *places["add"], dose, 0.1) for dose in (1.0, 2.0)]
            edited += [
                (kind, i, *where, *question, True, is_new := before[question] != after[question],
                 rng.random() < (share if is_new else 0.9 + share / 10))
                for *where, share in told + inside
                for question in both
            ]  # fmt: skip
    columns = "kind pair method n_units place tokens dose origin target counts is_affected agrees"
    return _pairs(pairs), pd.DataFrame(edited, columns=columns.split())


def corridors() -> pd.DataFrame:
    """Those of two connections into the two cells that a tree leaves out."""
    pairs = []
    for i, bits in enumerate(trees(60, 6)):
        near = LATTICE.near(bits)
        first, second = sorted(set(range(9)) - set(near))
        ends = [set(pair) for pair in LATTICE.pairs()]
        if {first, second} not in ends:
            continue
        into = next((e for e, pair in enumerate(ends) if first in pair and pair & set(near)), None)
        if into is None:
            continue
        added = [into, ends.index({first, second})]
        after = LATTICE.near(with_added(bits, added))
        paths = [path for ask, path in unique_paths(after).items() if ask[0] in near]
        paths = [path for path in paths if path[-1] == second]
        walks = [(LATTICE.blind(path), LATTICE.near_sighted(path, after)) for path in paths]
        both = [sum(each) for each in zip(*walks, strict=True)]
        pairs.append(("corridor", 2, i, bits, added, second, 0, len(paths), *both))
    few = trees(1, 4)[0]  # a short prompt, of which figures are not
    return _pairs([*pairs, ("corridor", 2, 99, few, [0, 1], 8, 0, 9, 0.0, 0.0)])


def _pairs(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = "kind k pair connections added end n_unique n_affected blind near"
    return pd.DataFrame(rows, columns=columns.split()).assign(split="test")


def ledger(edited: pd.DataFrame, ways: pd.DataFrame) -> pd.DataFrame:
    """What the answers give on test mazes. On validation mazes dose 2 is the best of three."""
    hit, other = edited.is_affected, ~edited.is_affected
    parts = (hit & edited.agrees, hit, other & ~edited.agrees, other)
    keys = ["kind", "pair", "method", "n_units", "place", "tokens", "dose"]
    rows = edited.assign(**dict(zip(COUNTS, parts, strict=True)))
    test = rows.groupby(keys, as_index=False)[list(COUNTS)].sum().assign(k=1, split="test")
    some = test[(test.pair < 4) & (test.dose == 1.0) & (test.method != "tokens")]
    walked = ways[["kind", "k", "pair", "n_affected"]].assign(n_spill=0, n_unaffected=0)
    inside = {"method": "latents", "n_units": MOST, "place": "0.resid_post", "tokens": SITE}
    told = {"method": "tokens", "n_units": 0, "place": "", "tokens": "", "dose": 1.0}
    walked = walked.assign(n_hit=walked.n_affected - walked.pair % 2, split="test")
    chosen = [
        one.assign(dose=dose, split="validation", n_hit=n, n_affected=9, n_spill=0, n_unaffected=9)
        for one in (some, walked.assign(**inside))
        for dose, n in ((1.0, 5), (2.0, 9), (4.0, 7))
    ]
    both = [walked.assign(**inside, dose=2.0), walked.assign(**told, n_hit=walked.pair % 3)]
    every = pd.concat([test, *both, *chosen], ignore_index=True)
    believed = every.pair % np.where(every.kind == "add", 2, 3) == 0
    return every.assign(n_connections=7, n_edited=1, n_edited_believed=believed.astype(int))


def locations() -> Iterator[tuple[str, pd.DataFrame]]:
    """The mean difference is written best at SITE, and read first at c2 of layer 0."""
    sites = [(0, "c1", 1.0, 8), (0, SITE, 1.0, 8), (1, SITE, 1.0, 5)]
    rows = pd.DataFrame(sites, columns=["layer", "tokens", "dose", "n_hit"])
    yield "writing", rows.assign(n_affected=9, n_spill=0, n_unaffected=9)
    rows = pd.DataFrame([(0, "c1", 0.3), (0, "c2", 0.9), (1, "c2", 0.91)])
    rows.columns = pd.Index(["layer", "token_class", "probe_accuracy"])
    yield "consolidation", rows.assign(identity_accuracy=0.2)


def clone(folder: Path) -> Path:
    """The clone, with metrics/."""
    test, overload = trees(24, 7), trees(8, 8)
    pairs, edited = twins(test)
    ways = corridors()
    made = {
        "behaviour/answers": answers(test, overload),
        "features/singles": singles(),
        "interventions/edited": edited,
        "interventions/ledger": ledger(edited, ways),
        "interventions/pairs": pd.concat([pairs, ways]),
        **{f"locations/{name}": rows for name, rows in locations()},
    }
    for name, rows in made.items():
        room, _, table = name.partition("/")
        write(folder / "artifacts" / room / RUN / f"{table}.parquet", rows)
    for split, many in (("test", test), ("overload", overload)):
        write(folder / "artifacts" / "mazes" / "0" / f"{split}.parquet", mazes(many))
    publish(folder)
    return folder


def write(path: Path, rows: pd.DataFrame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(path)


def publish(folder: Path) -> None:
    """Write everything that is counted where metrics/ have it."""
    tree: dict[str, Any] = {"metrics": {}, "claims": {}}
    said = []
    for one in counted(folder, RUN):
        if isinstance(one, Check):
            continue
        if "measure" in one.at:
            low, high = one.ends
            said.append(f"{one.at[-1]} {one.value:.3f} [{low:.3f}, {high:.3f}]")
            continue
        at, *last = one.at[:-1], one.at[-1]
        place = tree
        for name in at:
            place = place.setdefault(name, {})
        if not isinstance(one, Counted):
            place[last[0]] = one.found
        elif last == ["control"]:
            low, high = one.ends or (one.value, one.value)
            place |= {"control": round(one.value, 6), "control_low": low, "control_high": high}
            place["control_name"] = one.control
        else:
            low, high = one.ends or (one.value, one.value)
            value = {"value": round(one.value, 6), "low": low, "high": high}
            place.setdefault(last[0], {}).update(value)
    claims = {
        id: {"verdict": "supported", "control_name": "", **claim}
        for id, claim in tree["claims"].items()
    }
    claims["C5"] |= {
        "measure": f"selectivity: {'; '.join(said)}",
        "control_name": "no difference, by the convention in beliefs",
    }
    there = folder / "metrics"
    (there / "runs").mkdir(parents=True)
    (there / "runs" / f"{RUN}.json").write_text(json.dumps(tree["metrics"]))
    (there / "claims.json").write_text(json.dumps({"runs": {RUN: claims}}))
    (there / "summary.json").write_text(json.dumps({RUN: {}}))
