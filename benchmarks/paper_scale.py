"""The cost of scale paper: python benchmarks/paper_scale.py [MAZES]

MAZES is a folder such as artifacts/paper/artifacts/mazes/0; without it, 20,000 mazes of the scale
are drawn. Prints the tables of docs/scale.md: parameters, FLOPs of a sequence, time on several
devices at an assumed utilisation, disk and memory; then the same for larger mazes. If there is a
GPU, the training step is timed on it: in fp32 and bf16, eager and compiled, and the optimizers
alone.

FLOPs of training on a sequence of T tokens are 6 N T + 12 L d T^2, with N parameters in the blocks'
matrices and the unembedding, and L blocks of width d (forward and backward pass; attention over the
whole square, as in Chowdhery et al. 2022, appendix B). Muon's orthogonalisation of an m x n matrix,
m <= n, takes 5 iterations of 4 m^2 n + 2 m^3 FLOPs.
"""

import sys
import time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml

from mazewm.datasets import draw
from mazewm.maze import mazes
from mazewm.maze.tokens import Vocabulary, prompt_length
from mazewm.model import devices
from mazewm.model.batches import Batches, ahead
from mazewm.model.recipe import TrainingParams, backward, forward_of, micro_batch, optimizers
from mazewm.model.transformer import Transformer, TransformerParams

ROOT = Path(__file__).parent.parent
# FLOP/s of dense bf16 products with fp32 sums, from the vendor's data sheets, and the names that
# devices report.
PEAK = {"H200": 989e12, "H100 SXM": 989e12, "A100": 312e12, "RTX 4090": 165e12}
NAMES = {
    "NVIDIA H200": "H200",
    "NVIDIA H100 80GB HBM3": "H100 SXM",
    "NVIDIA GeForce RTX 4090": "RTX 4090",
}
NAMES |= {f"NVIDIA A100-{kind}": "A100" for kind in ("SXM4-40GB", "SXM4-80GB", "PCIE-40GB")}
UTILISATION = 0.3  # assumed share of the peak
N_STEPS, N_WARM = 20, 5
# Larger studies: vocabulary, full mazes, sparse mazes, and the model, which is an assumption.
LARGER: dict[str, tuple[dict, dict, dict, dict]] = {
    "9x9": (
        {"vocabulary_size": 10},
        {"size": 8},
        {"size": 9, "min_cells": 40, "max_cells": 64},
        {"n_layers": 8, "d_model": 768, "n_heads": 12, "d_mlp": 3072},
    ),
    "12x12": (
        {"vocabulary_size": 13},
        {"size": 11},
        {"size": 12, "min_cells": 80, "max_cells": 121},
        {"n_layers": 12, "d_model": 1024, "n_heads": 16, "d_mlp": 4096},
    ),
}


class Cost(NamedTuple):
    """The size and the computation of one study."""

    n_params: int  # with learned positions
    n_matrix: int  # those in matrix products
    n_tokens: float  # of a sequence, on average
    flops: float  # of training on one sequence
    muon: float  # FLOPs of one step


def settings() -> dict[str, Any]:
    """The sections of params.yaml at scale paper."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    sized = params["scales"]["paper"]
    return {name: (params.get(name) or {}) | section for name, section in sized.items()}


def cost(architecture: TransformerParams, batch: mazes.Mazes) -> Cost:
    """The cost of training on mazes such as those of ``batch``."""
    L, d, hidden = architecture.n_layers, architecture.d_model, architecture.d_mlp
    vocabulary = Vocabulary(batch.grid.n)
    model = Transformer(architecture, "learned", len(vocabulary), vocabulary.max_length)
    lengths = prompt_length(batch.n_connections) + batch.path_length
    n_matrix = L * (4 * d * d + 2 * d * hidden) + d * len(vocabulary)
    flops = float((6 * n_matrix * lengths + 12 * L * d * lengths.astype(float) ** 2).mean())
    pairs = [(d, d)] * 4 + [(d, hidden)] * 2
    muon = L * sum(5 * (4 * min(p) ** 2 * max(p) + 2 * min(p) ** 3) for p in pairs)
    return Cost(
        sum(p.numel() for p in model.parameters()),
        n_matrix,
        float(lengths.mean()),
        flops,
        float(muon),
    )


def drawn(params: draw.MazeParams, n: int) -> mazes.Mazes:
    """``n`` training mazes."""
    rng = np.random.default_rng(0)
    sampler = draw.Sampler(rng, draw.splits_of(params, rng), "train")
    return sampler.fill(params.families_of("train"), n)


def table(rows: list[list[str]]) -> None:
    """Print rows as a Markdown table, the first one as its head."""
    print("| " + " | ".join(rows[0]) + " |\n" + "|---" * len(rows[0]) + "|")
    print("".join("| " + " | ".join(row) + " |\n" for row in rows[1:]))


def plan(sections: dict[str, Any], batch: mazes.Mazes) -> Cost:
    """Print the computed costs of scale paper, and return them."""
    one, training, caches = (
        cost(TransformerParams(**sections["transformer"]), batch),
        sections["training"],
        sections["activations"],
    )
    n = training["n_steps"] * training["batch_size"]
    d, per_step = sections["transformer"]["d_model"], training["batch_size"] * one.flops
    mazes_read = (
        caches["n_train_mazes"] + caches["n_untrained_mazes"] + 4 * caches["n_held_out_mazes"]
    )
    # weights, gradients and Muon's momentum; AdamW has two moments, but for few of the weights
    state = one.n_params * 4 * 3
    table(
        [
            ["what", "how much"],
            [
                "parameters (learned positions)",
                f"{one.n_params / 1e6:.1f} million, "
                f"{one.n_matrix / 1e6:.1f} of them in matrix products",
            ],
            [
                "different connection sets",
                f"{len(np.unique(batch.connections, axis=0)):,} among {len(batch):,} mazes",
            ],
            ["numbers of connections, so lengths of prompts", f"{len(batch.by_n_connections())}"],
            ["tokens of a sequence, mean", f"{one.n_tokens:.0f}"],
            ["FLOPs to train on a sequence", f"{one.flops / 1e9:.1f} G"],
            [
                "of which attention's scores",
                f"{1 - 6 * one.n_matrix * one.n_tokens / one.flops:.1%}",
            ],
            [
                "sequences",
                f"{n / 1e6:.2f} million "
                f"({training['n_steps']:,} steps of {training['batch_size']})",
            ],
            ["how often each maze is seen", f"{n / sections['mazes']['n_train']:.1f} times"],
            ["FLOPs of a training", f"{n * one.flops / 1e15:.0f} P"],
            ["Muon, of a step's FLOPs", f"{one.muon / per_step:.1%}"],
            [
                "disk for activations, each place of a run",
                f"{mazes_read * one.n_tokens * d * 2 / 1e9:.1f} GB",
            ],
            ["memory for weights, gradients and optimizers", f"{state / 1e9:.2f} GB"],
        ]
    )
    by_device(n, one)
    return one


def by_device(n: float, one: Cost) -> None:
    """Print the time for ``n`` sequences on each device, at the assumed utilisation."""
    rows = [
        ["device", "peak, dense bf16", f"sequences/s at {UTILISATION:.0%}", "minutes of a training"]
    ]
    for name, peak in PEAK.items():
        rate = UTILISATION * peak / one.flops
        rows.append([name, f"{peak / 1e12:.0f} TFLOP/s", f"{rate:,.0f}", f"{n / rate / 60:.1f}"])
    table(rows)


def larger(sections: dict[str, Any], base: Cost) -> None:
    """Print costs for larger mazes, assuming that sequences needed grow as their tokens squared."""
    n_base = sections["training"]["n_steps"] * sections["training"]["batch_size"]
    rows = [
        [
            "mazes",
            "model",
            "parameters",
            "tokens",
            "GFLOPs each",
            "million sequences",
            "hours on one H200",
            "the same on 8",
        ]
    ]
    for name, (vocabulary, full, sparse, architecture) in LARGER.items():
        cells = full["size"] ** 2
        families = {
            "full": {
                "generator": "dfs",
                **full,
                "min_cells": cells,
                "max_cells": cells,
                "share": 0.4,
            },
            "sparse": {"generator": "dfs", **sparse, "share": 0.6},
        }
        cells = sparse["size"] ** 2
        overload = {
            "generator": "dfs",
            "size": sparse["size"],
            "min_cells": cells,
            "max_cells": cells,
            "share": 1.0,
        }
        one_world = draw.MazeParams(
            **sections["mazes"] | vocabulary | {"families": families, "overload": overload}
        )
        one = cost(TransformerParams(**architecture), drawn(one_world, 500))
        n = n_base * (one.n_tokens / base.n_tokens) ** 2
        hours = n * one.flops / (UTILISATION * PEAK["H200"]) / 3600
        shape = f"{architecture['n_layers']} x {architecture['d_model']}"
        rows.append(
            [
                name,
                shape,
                f"{one.n_params / 1e6:.0f} M",
                f"{one.n_tokens:.0f}",
                f"{one.flops / 1e9:.0f}",
                f"{n / 1e6:.0f}",
                f"{hours:.1f}",
                f"{hours / 8:.1f}",
            ]
        )
    table(rows)


def measure(sections: dict[str, Any], batch: mazes.Mazes, one: Cost) -> None:
    """Time the training step on this machine's GPU, for each precision, eager and compiled."""
    device, vocabulary = devices.best(), Vocabulary(batch.grid.n)
    name = torch.cuda.get_device_name()
    peak = PEAK.get(NAMES.get(name, ""))
    recipe = TrainingParams(**sections["training"])
    batches = Batches(batch, recipe.batch_size, 0)
    torch.set_num_threads(recipe.n_threads)
    torch.use_deterministic_algorithms(True)  # as in training
    rows = [
        [
            "precision",
            "compiled",
            "sequences/s",
            f"share of {name}'s bf16 rate",
            "step, ms",
            "optimizers, ms",
            "read at once",
            "memory, GB",
        ]
    ]
    for precision, compiled in product(("fp32", "bf16"), (False, True)):
        torch.manual_seed(0)
        model = Transformer(
            TransformerParams(**sections["transformer"]),
            "learned",
            len(vocabulary),
            vocabulary.max_length,
        ).to(device)
        params = recipe.model_copy(update={"precision": precision, "compile": compiled})
        torch._dynamo.reset()
        opts, forward = optimizers(model, params), forward_of(model, "all", params)
        n_rows = micro_batch(forward, model, batches)
        spent = {"step": 0.0, "optimizers": 0.0}
        reading = ahead(batches, 0, N_WARM + N_STEPS, device)
        for nth in range(N_WARM + N_STEPS):
            if nth == N_WARM:
                spent = dict.fromkeys(spent, 0.0)
            since = now()
            backward(forward, next(reading), n_rows, params.other_weight)
            between = now()
            for opt in opts:
                opt.step()
                opt.zero_grad(set_to_none=True)
            spent = {
                "step": spent["step"] + now() - since,
                "optimizers": spent["optimizers"] + now() - between,
            }
        rate = N_STEPS * params.batch_size / spent["step"]
        share = f"{rate * one.flops / peak:.1%}" if peak else "unknown"
        times = [f"{1000 * value / N_STEPS:.1f}" for value in spent.values()]
        rows.append(
            [
                precision,
                "yes" if compiled else "no",
                f"{rate:,.0f}",
                share,
                *times,
                str(n_rows),
                f"{torch.cuda.max_memory_allocated() / 1e9:.1f}",
            ]
        )
    table(rows)


def now() -> float:
    """The time in seconds, after the device has finished all its work."""
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    sections = settings()
    some = (
        mazes.read(Path(sys.argv[1]) / "train.parquet")
        if len(sys.argv) > 1
        else drawn(draw.MazeParams(**sections["mazes"]), 20_000)
    )
    base = plan(sections, some)
    larger(sections, base)
    if devices.best().type == "cuda":
        measure(sections, some, base)
    else:
        print("No CUDA device is here, so that no training step was timed.")
