"""Planted things that several rooms' tests share: SAEs whose latents are known, data with a known
dictionary, made-up tables.

Nothing here is computed by the code under test: a table is what its arguments say.
"""

import itertools
from collections.abc import Iterable
from dataclasses import fields

import numpy as np
import pandas as pd
import torch
from circuits import planted_circuit
from planted_edits import MOST, WRITING, ledger, pairs
from planted_frame import holding, writing
from planted_paths import (
    READ_ALIKE,
    binding_rows,
    carried_rows,
    circuit_rows,
    direction_rows,
    edge_rows,
    head_rows,
    prediction_rows,
    reader_rows,
)

from mazewm.claims.claim import Claim, decided
from mazewm.claims.run import RunTables
from mazewm.features.ranking import LatentRow
from mazewm.localize.locations import PAPER_LOCATION, Location, WritingSite
from mazewm.localize.writing import WritingRow
from mazewm.maze.tokens import TokenClass
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder

trees = planted_circuit.trees
SITE = Location(0, TokenClass.C2)
N_CONNECTIONS = 12  # of a 3 x 3 lattice
D_MODEL, N_ATOMS, N_ACTIVE = 31, 23, 3


def dictionary(n: int = N_ATOMS, d_model: int = D_MODEL, seed: int = 0) -> np.ndarray:
    """Orthonormal rows."""
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d_model, n)))[0].T


def sparse_sums(
    atoms: np.ndarray, n_tokens: int, n_active: int = N_ACTIVE, seed: int = 0
) -> np.ndarray:
    """Sums of ``n_active`` atoms at lengths between 1 and 2, around a mean that is not zero."""
    rng = np.random.default_rng(seed)
    chosen = np.argsort(rng.random((n_tokens, len(atoms))), axis=1)[:, :n_active]
    z = np.zeros((n_tokens, len(atoms)))
    np.put_along_axis(z, chosen, rng.uniform(1, 2, chosen.shape), axis=1)
    return (z @ atoms + np.linspace(-1, 1, atoms.shape[1])).astype(np.float32)


def sae_of(
    encoder: torch.Tensor, decoder: torch.Tensor, activation: str = "relu", k: int = 1
) -> SparseAutoencoder:
    """An SAE with these weights and no biases."""
    sae = SparseAutoencoder(
        SaeShape(activation=activation, d_model=len(encoder), n_latents=len(decoder), k=k)
    )
    with torch.no_grad():
        sae.W_enc.copy_(encoder)
        sae.W_dec.copy_(decoder)
    return sae.eval().requires_grad_(False)


def mirror_sae(d_model: int) -> SparseAutoencoder:
    """Orthonormal directions and their opposites: whatever comes in goes out, up to rounding."""
    basis = torch.from_numpy(dictionary(d_model, d_model)).float()
    both = torch.cat([basis, -basis])
    return sae_of(both.T, both)


def plain_sae(d_model: int = 13) -> SparseAutoencoder:
    """Latent i is dimension i, where that is positive."""
    return sae_of(torch.eye(d_model), torch.eye(d_model))


def random_sae(
    d_model: int, n_latents: int, activation: str = "relu", k: int = 5, seed: int = 0
) -> SparseAutoencoder:
    """An SAE as it is before training, with biases that are not zero."""
    torch.manual_seed(seed)
    sae = SparseAutoencoder(
        SaeShape(activation=activation, d_model=d_model, n_latents=n_latents, k=k)
    )
    sae.b_enc.data.normal_()
    sae.b_dec.data.normal_()
    return sae.eval().requires_grad_(False)


def ranked(rows: list[tuple[int, int, int, float, float]], site: str = str(SITE)) -> pd.DataFrame:
    """Rows of LatentRow from (connection, rank, latent, mean_on, mean_off)."""
    return pd.DataFrame(
        [(site, *row, 0.5) for row in rows], columns=[field.name for field in fields(LatentRow)]
    )


def feature_rows(
    mcc: dict[str, float],
    n_connections: int = N_CONNECTIONS,
    n_units: int = 2,
    site: str = str(SITE),
) -> pd.DataFrame:
    """Trees of three depths for every readout; the deepest has the MCC given, and depth 2 all of
    its accuracy."""
    rows = [
        {
            "site": site,
            "readout": readout,
            "connection": e,
            "depth": depth,
            "units": np.arange(min(depth, n_units)),
        }
        | {
            "balanced_accuracy": 0.5 + value / 2 * (depth >= n_units),
            "mcc": value * depth / 3,
            "mcc_chosen": value * (depth >= n_units),
            "n_positive": 7,
            "n_tokens": 101,
        }
        for readout, value in mcc.items()
        for e in range(n_connections)
        for depth in (1, 2, 3)
    ]
    return pd.DataFrame(rows)


READOUTS = {
    "latents": 0.9,
    "frozen_decoder": 0.2,
    "untrained_model": 0.3,
    "shuffled_labels": 0.0,
    "neurons": 0.6,
}
SINGLES = tuple(READOUTS)
ARCHITECTURES = {"relu": 0.8, "batch_topk": 0.85, "matryoshka": 0.7}
READOUTS |= {"mean_difference": 0.95, "linear_probe": 0.99}


def single_rows(mcc: dict[str, float], n_draws: int = 3) -> pd.DataFrame:
    """The best single units of every readout, of SAEs of three seeds whose values lie around the
    one given."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "site": str(SITE),
            "readout": readout,
            "draw": draw,
            "connection": e,
            "unit": e,
            "mcc_chosen": value,
            "mcc": value + 0.01 * (draw - 1) + noise,
            "n_positive": 7,
            "n_tokens": 101,
        }
        for readout, value in mcc.items()
        for draw in range(n_draws)
        for e, noise in enumerate(rng.uniform(-0.02, 0.02, N_CONNECTIONS))
    ]
    return pd.DataFrame(rows)


def sae_rows(place: str) -> pd.DataFrame:
    """The SAEs of a place: three of the study's, three of random directions, and one of each other
    kind."""
    families = {"trained": 3, "frozen_decoder": 3, "untrained_model": 1}
    rows = [
        {
            "place": place,
            "kind": family if draw == 0 else f"{family}_{draw + 1}",
            "family": family,
            "draw": draw,
            "activation": family if family in ARCHITECTURES else "topk",
            "width": 16,
            "sparsity": 0.3 if family == "relu" else 5.0,
            "lr": 0.01,
            "n_samples": 700,
        }
        for family, n in (families | dict.fromkeys(ARCHITECTURES, 1)).items()
        for draw in range(n)
    ]
    return pd.DataFrame(rows)


def board_rows(readouts: Iterable[str], n_draws: int = 3) -> pd.DataFrame:
    """Boards of every SAE."""
    columns = {
        "coverage": 0.9,
        "n_precise": 12,
        "precision": 0.8,
        "recall": 0.7,
        "f1": 0.75,
        "n": 9,
    }
    return pd.DataFrame(
        [
            {"site": str(SITE), "readout": readout, "draw": draw} | columns
            for readout in readouts
            for draw in range(n_draws)
        ]
    )


def attention_rows(
    own: dict[tuple[int, int], float], uniform: float = 0.1, shuffled: float = 0.2, sd: float = 0.1
) -> pd.DataFrame:
    """own_mass by (layer, head), the same at every token class, with both controls; 101 mazes."""
    rows = [
        {
            "layer": layer,
            "head": head,
            "token_class": c,
            "measure": "own_mass",
            "bin": 0,
            "control": control,
            "mean": mean,
            "sd": sd,
            "n": 101,
        }
        for (layer, head), mass in own.items()
        for c in ("c1", "<-->", "c2", ";")
        for control, mean in (("none", mass), ("uniform", uniform), ("shuffled", shuffled))
    ]
    return pd.DataFrame(rows)


def consistency_rows(
    picked: dict[str, float], chance: float = 0.25, site: str = str(SITE)
) -> pd.DataFrame:
    """What the weights say of every connection, by set of heads."""
    rows = [
        {
            "site": site,
            "path": "heads",
            "heads": heads,
            "connection": e,
            "cosine_matched": share,
            "cosine_mismatched_mean": -0.1,
        }
        | {
            "auroc": 0.9,
            "rank": 1.5,
            "picked": share,
            "picked_chance": chance,
            "n_connections": N_CONNECTIONS,
        }
        for heads, share in picked.items()
        for e in range(N_CONNECTIONS)
    ]
    columns = [
        "site",
        "path",
        "heads",
        "connection",
        "cosine_matched",
        "cosine_mismatched_mean",
        "auroc",
        "rank",
        "picked",
        "picked_chance",
    ]
    return pd.DataFrame(rows, columns=[*columns, "n_connections"])


def knockout_rows(effects: dict[str, tuple[float, float]], site: str = str(SITE)) -> pd.DataFrame:
    """Own and other effect by set of heads, for both kinds of ablation."""
    rows = [
        {
            "site": site,
            "ablation": ablation,
            "heads": heads,
            "connection": e,
            "effect_own": own,
            "effect_other": other,
            "n": 5,
        }
        for heads, (own, other) in effects.items()
        for ablation in ("mean", "resample")
        for e in range(N_CONNECTIONS)
    ]
    return pd.DataFrame(
        rows, columns=["site", "ablation", "heads", "connection", "effect_own", "effect_other", "n"]
    )


def consolidation_rows() -> pd.DataFrame:
    """Probe accuracy of two layers and four classes: c2 of layer 0 is where the connection is."""
    classes = ("c1", "<-->", "c2", ";")
    accuracy = {(0, "c2"): 0.97, (1, "c2"): 0.98, (1, ";"): 0.6}
    rows = [
        {
            "layer": layer,
            "token_class": c,
            "probe_accuracy": accuracy.get((layer, c), 0.2),
            "identity_accuracy": 0.1,
            "own_mass": 0.3,
            "own_mass_uniform": 0.1,
        }
        for layer in (0, 1)
        for c in classes
    ]
    return pd.DataFrame(rows).assign(n_mazes=53)


def writing_rows() -> pd.DataFrame:
    """Two layers, two sets of tokens and two doses."""
    rows = [
        (layer, tokens, "c2", dose, 20, 7 + layer, 40, 2)
        for layer in (0, 1)
        for tokens in ("c2", "c1 and <ADJLIST_END>")
        for dose in (1.0, 2.0)
    ]
    return pd.DataFrame(rows, columns=[field.name for field in fields(WritingRow)])


def frontier_rows(place: str) -> pd.DataFrame:
    """Two points of a sweep, the second chosen."""
    rows = {
        "place": place,
        "token_class": "c2",
        "width": 7,
        "sparsity": [2.0, 3.0],
        "explained_variance": 0.9,
        "l0": [2.0, 3.0],
    }
    rows |= {
        "n_dead": 0,
        "n_tokens": 101,
        "loss_recovered": 0.9,
        "solved_clean": 0.9,
        "solved_spliced": 0.8,
        "n_lost": 5,
        "n_gained": 2,
    }
    return pd.DataFrame(
        rows | {"n_mazes": 53, "mcc": [np.array([0.5, 0.7])] * 2, "is_chosen": [False, True]}
    )


def position_rows(site: str) -> pd.DataFrame:
    """Latents that do as well where they were not looked for, but for a tenth."""
    rows = [
        (site, e, found, measured, 3, 0.9 - 0.1 * (found != measured), 7, 101)
        for e in range(5)
        for found in ("early", "late")
        for measured in ("early", "late")
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "site",
            "connection",
            "found_on",
            "measured_on",
            "latent",
            "f1",
            "n_positive",
            "n_tokens",
        ],
    )


def patch_rows() -> dict[str, pd.DataFrame]:
    """Seven pairs read right and one read wrong: after layer 0 all is at the connection's own c2,
    and the gradient knows it."""
    pairs = pd.DataFrame(
        {
            "pair": range(8),
            "connection_set": [0, 0, 1, 2, 3, 4, 5, 6],
            "metric_clean": 2.0,
            "metric_corrupted": -2.0,
        }
    )
    patches = [
        {
            "pair": pair,
            "layer": layer,
            "site": "resid_post",
            "token_group": group,
            "metric_patched": 2.0 - 4.0 * hit,
            "attribution": 3.0 * hit,
        }
        for pair in range(8)
        for layer, group, hit in (
            (0, "own c2", 1),
            (0, "later c2", 0),
            (1, "own c2", 0),
            (1, "last path", 1),
        )
    ]
    return {"patch_pairs": pairs.assign(is_right=pairs.pair < 7), "patches": pd.DataFrame(patches)}


N_SETS = 40  # connection sets in the tables of answers, beliefs and probes


def probe_rows(
    model: dict[tuple[str, int], float],
    other: float = 0.5,
    pairs: float = 0.6,
    validation: dict[tuple[str, int], float] | None = None,
    facts: tuple[str, ...] = ("distance", "on_path", "toward_target", "step_1", "step_2"),
) -> pd.DataFrame:
    """Errors on forty connection sets for each fact, such that readouts explain the given share, by
    (token, depth); every other readout explains the same everywhere."""
    rng, parts = np.random.default_rng(0), []
    of_split = {"test": model, "validation": validation or model}
    for fact, (split, scores) in itertools.product(facts, of_split.items()):
        wanted = {("input", "none", -1): 0.55, ("input_pairs", "none", -1): pairs}
        for (token, depth), score in scores.items():
            wanted["model", token, depth] = score
            wanted["untrained_model", token, depth] = other
            wanted["shuffled_labels", token, depth] = 0.4
        sst = rng.uniform(3, 5, N_SETS)
        for (readout, token, depth), share in wanted.items():
            sse = sst * (1 - share) * rng.uniform(0.95, 1.05, N_SETS)
            columns = {"split": split, "fact": fact, "token": token, "depth": depth}
            columns |= {"readout": readout, "maze_id": np.arange(N_SETS), "n": 7}
            columns |= {"sse": sse, "sst": sst, "connection_set": np.arange(N_SETS)}
            parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


STEERED = {("validation", "given_target", 2.0): 3, ("validation", "given_target", 4.0): 8}
STEERED |= {("test", "given_target", 4.0): 9}
STEERED |= {
    ("test", name, 2.0): n
    for name, n in (("random_direction", 1), ("other_units", 2), ("shuffled_labels", 0))
}


def steer_rows(went: dict[tuple[str, str, float], int], situation: str = "later") -> pd.DataFrame:
    """How many of ten forks go as predicted, by split, method and dose; an eleventh fork was not
    solved before."""
    common = {"situation": situation, "fact": "on_path", "where": "target", "depth": 2}
    rows = [
        common
        | {"split": split, "method": method, "dose": dose, "example": nth, "connection_set": nth}
        | {"goes_as_predicted": nth < n or nth == 10, "solved_before": nth < 10}
        for (split, method, dose), n in went.items()
        for nth in range(11)
    ]
    return pd.DataFrame(rows)


def answers(p_solved, model="trained", split="test", n_telling=6, blind=0.1, near=0.2, seed=0):
    """Rows of mazes, each a connection set of its own, with questions solved at a rate."""
    rng = np.random.default_rng(seed)
    n = np.full(N_SETS, n_telling)
    solved = rng.binomial(n, p_solved)
    zero = np.zeros(N_SETS, int)
    columns = {
        "model": model,
        "split": split,
        "family": "trees",
        "path_length": 4,
        "maze_id": np.arange(N_SETS),
        "connection_set": np.arange(N_SETS),
        "n_asked": n,
        "n_valid": solved,
        "n_steps": 3 * n,
        "n_crossings": n - solved,
        "n_jumps": zero,
        "n_unique": n,
        "n_solved": solved,
        "blind": blind * n,
        "near": near * n,
        "ahead_2": near * n,
        "ahead_3": near * n,
        "random": blind * n,
        "random_2": blind * n,
    }
    for some in ("telling", "beyond"):
        columns |= {f"n_{some}": n, f"n_{some}_solved": solved, f"blind_{some}": blind * n}
        columns |= {f"{name}_{some}": near * n for name in ("near", "ahead_2", "ahead_3")}
        columns |= {f"{name}_{some}": blind * n for name in ("random", "random_2")}
    return pd.DataFrame(columns)


def beliefs(p_open, p_closed, model="trained", seed=0, n=30):
    """Pairs of cells of which those with and without a connection are claimed at a rate."""
    rng = np.random.default_rng(seed)
    is_open = np.tile(np.arange(n) % 2 == 0, N_SETS)
    claimed = rng.random(len(is_open)) < np.where(is_open, p_open, p_closed)
    return pd.DataFrame(
        {
            "model": model,
            "split": "test",
            "connection_set": np.repeat(np.arange(N_SETS), n),
            "is_open": is_open,
            "n_straight": 2 * claimed,
            "belief": np.where(claimed, 0.93, 0.04),
        }
    )


def detours(p_valid):
    """Walks of N_SETS mazes, of which a share is valid by the kind of their detours; half of the
    near-sighted ones are."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "p": p,
                "kind": kind,
                "maze_id": np.arange(N_SETS),
                "connection_set": np.arange(N_SETS),
                "n": 4,
                "n_detours": 0 if kind == "undisturbed" else 5,
                "n_valid": (valid := rng.binomial(4, share, N_SETS)),
                "n_shortest": valid // 2,
                "n_near": 2,
                "n_near_shortest": 1,
            }
        )
        for p in (0.0, 0.1)
        for kind, share in p_valid.items()
        if p or kind == "undisturbed"
    ]
    return pd.concat(parts, ignore_index=True)


def states(p_right, model="trained"):
    """Pairs of prompts told right at a rate by kind; the near-sighted walker is right in all but
    the last ten. Where a pair of different states is not, one token is claimed."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "model": model,
                "kind": kind,
                "maze_id": np.arange(N_SETS),
                "connection_set": np.arange(N_SETS),
                "is_right": rng.random(N_SETS) < share,
                "n_claimed": int(kind in ("target", "connection")),
                "is_likeliest_right": True,
                "is_near_right": np.arange(N_SETS) < N_SETS - 10,
                "n_near_claimed": int(kind in ("target", "connection")),
            }
        )
        for kind, share in p_right.items()
    ]
    return pd.concat(parts, ignore_index=True)


def spellings(n_solved, n=8):
    """One maze for each number of spellings solved, of ``n``, by kind."""
    parts = [
        pd.DataFrame(
            {
                "kind": kind,
                "maze_id": np.arange(len(solved)),
                "connection_set": np.arange(len(solved)),
                "n": n,
                "n_solved": solved,
            }
        )
        for kind, solved in n_solved.items()
    ]
    return pd.concat(parts, ignore_index=True)


STATES = {"spelling": 0.9, "origin": 0.8, "target": 0.9, "connection": 0.7}


def run_tables(
    site: Location = SITE, writing_site: WritingSite = WRITING, **changes: pd.DataFrame
) -> RunTables:
    """All the tables of one run; keywords replace what they name."""
    here, paper = str(site), str(PAPER_LOCATION)
    place, book = str(site.place), ledger()
    behaviour = [
        {
            "split": split,
            "maze_id": nth,
            "connection_set": nth,
            "family": "drawn",
            "n_connections": 8,
            "path_length": 3 + nth % 2,
        }
        | {"solved": nth < n_solved, "valid": nth < n_solved + 1}
        for split, n_solved in (("test", 7), ("overload", 1))
        for nth in range(11)
    ]
    descriptions = [
        {
            "place": place,
            "sae": name,
            "token_class": c,
            "explained_variance": value,
            "l0": 5.0,
            "n_dead": 3,
            "n_tokens": 101,
        }
        for name, value in {
            "trained": 0.9,
            "frozen_decoder": 0.5,
            "untrained_model": 0.7,
            **ARCHITECTURES,
        }.items()
        for c in ("all", "c2")
    ]
    splice = {
        "place": place,
        "n_mazes": 7,
        "ce_clean": 0.1,
        "ce_spliced": 0.2,
        "ce_mean_ablated": 1.1,
        "ce_zero_ablated": 2.1,
    }
    splice |= {
        "loss_recovered": 0.9,
        "loss_recovered_zero": 0.95,
        "solved_clean": 0.8,
        "solved_spliced": 0.7,
    }
    circuits = [
        {
            "site": here,
            "circuit": circuit,
            "heads": "0.0",
            "n_heads": 1,
            "m_model": -0.1,
            "m_circuit": -0.2,
            "m_empty": -1.1,
        }
        | {"faithfulness": value, "n": 11}
        for circuit, value in (("binding", 0.9), ("complement", 0.2))
    ]
    values = {
        "behaviour": pd.DataFrame(behaviour),
        "consolidation": consolidation_rows(),
        "descriptions": pd.DataFrame(descriptions),
        "splices": pd.DataFrame([splice]),
        "features": pd.concat(
            [feature_rows(READOUTS, site=here)]
            + [feature_rows(READOUTS | {"latents": 0.1}, site=paper)] * (here != paper)
        ),
        "singles": pd.concat(
            [single_rows({name: READOUTS[name] for name in SINGLES}), single_rows(ARCHITECTURES, 1)]
        ),
        "boards": pd.concat(
            [
                board_rows(("latents", "frozen_decoder", "untrained_model")),
                board_rows(ARCHITECTURES, 1),
            ]
        ),
        "saes": sae_rows(place),
        "attention": attention_rows({(0, 0): 0.8, (0, 1): 0.1, (1, 0): 0.2, (1, 1): 0.2}),
        "ov_consistency": consistency_rows({"binding": 0.9, "other": 0.2}, site=here),
        "knockouts": knockout_rows({"binding": (0.9, 0.1), "others": (0.2, 0.0)}, site=here),
        "faithfulness": pd.DataFrame(circuits),
        "binding": binding_rows({"binding": 0.9, "others": 0.1, "0.0": 0.9, "0.1": 0.1}, here),
        "heads": head_rows({here: [(0, 0)]}),
        "directions": direction_rows(dictionary(N_CONNECTIONS), here),
        "edges": edge_rows(),
        "circuit": circuit_rows(),
        "predictions": prediction_rows({"binding": 0.9, "others": 0.5, "token": 0.1}, here),
        "readers": reader_rows(READ_ALIKE, here),
        "ledger": book,
        "pairs": pairs(book),
        "frontier": frontier_rows(place),
        "stability": pd.DataFrame(
            {
                "place": place,
                "other": ["second_seed", "frozen_decoder"],
                "latent": 0,
                "matched": 1,
                "cosine": [0.9, 0.2],
            }
        ),
        "positions": pd.concat([position_rows(here)] + [position_rows(paper)] * (here != paper)),
        "taxonomy": pd.DataFrame(
            {
                "place": place,
                "sae": "trained",
                "latent": range(5),
                "kind": ["dead"] * 2 + ["cell"] * 3,
            }
        ),
        **patch_rows(),
        "whole": holding(0.9, 0.6, 0.3),
        "frame": writing(0.3, 0.8),
        "carried": carried_rows(own=8, other=6),
        "probes": probe_rows({("target", 0): 0.5, ("target", 2): 0.9}),
        "steering": steer_rows(STEERED),
        "writing": writing_rows(),
        "history": pd.DataFrame(
            {
                "step": [30],
                "n_mazes": [480],
                "loss_path": [1.5],
                "loss_other": [1.9],
                "solved": [0.1],
            }
        ),
        "formation": consolidation_rows().assign(step=30),
        "answers": pd.concat([answers(0.9), answers(0.0, model="untrained")]),
        "beliefs": pd.concat([beliefs(0.9, 0.1), beliefs(0.1, 0.1, model="untrained")]),
        "detours": detours({"undisturbed": 0.9, "free": 0.9, "must turn back": 0.4}),
        "states": pd.concat([states(STATES), states(dict.fromkeys(STATES, 0.1), "untrained")]),
        "spellings": spellings({"order and directions": [8] * 9 + [4], "order": [8] * 5}),
    }
    return RunTables(site=site, writing_site=writing_site, most=MOST, **(values | changes))


def verdict(one: Claim) -> str:
    """The verdict of a claim that is decided alone."""
    [found] = decided([one])
    return found.verdict
