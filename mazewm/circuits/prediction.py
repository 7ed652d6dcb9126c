"""How well a circuit predicts the values of latents (docs/science.md#predicted-latents).

At the token of a connection, all heads but some are replaced by their means over the tokens of this
class (mean ablation, module ``knockout``); the token's embedding and the MLPs stay. From the
residual stream that results, the SAE gives the value that the circuit *predicts* for the best
latent of every connection, to be compared with the value without ablation: that of this connection
should be high, the others' 0. Circuits are ``binding``, the binding heads; ``others``, all heads
but these; and ``token``, no head, so that only the token's own identity is known. Beside them
stands a table, ``connection``: the mean value at tokens of this connection in other mazes, which is
all of a latent that depends on nothing but the connection.

The score is the explained variance over all these latents and mazes, 1 - SSE / SST, with SST around
each latent's mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from mazewm.circuits.binding import Head, all_heads
from mazewm.circuits.knockout import Knockout
from mazewm.io import tables

TABLE = "connection"

Values = Float[np.ndarray, "maze latent"]


@dataclass(frozen=True)
class PredictionRow:
    """What one circuit predicts of the latents at one connection's token."""

    site: tables.Text
    split: tables.Text  # test
    circuit: tables.Text  # binding, others, token or connection
    maze_id: tables.Int
    connection: tables.Int
    value: tables.Real  # of the connection's own latent, without ablation
    predicted: tables.Real
    sse: tables.Real  # sums over the best latents of all connections
    sst: tables.Real


class _Read(NamedTuple):
    """The mazes in the order in which they are read."""

    maze: Int[np.ndarray, " maze"]
    connection: Int[np.ndarray, " maze"]  # whose token it is
    own: Int[np.ndarray, " maze"]  # its place among the known connections
    values: Values


@torch.inference_mode()
def predict(study: Knockout, binding: Sequence[Head]) -> list[PredictionRow]:
    """What every circuit predicts at a connection's token in each of the mazes. Connections without
    a latent are not asked for, nor mazes that have no others. No rows without binding heads: such a
    circuit would be that of no head."""
    if not binding:
        return []
    known, subject, batches = study.known, study.subject, study.batches
    every = all_heads(range(known.location.layer + 1), subject.transformer)
    ablated = {
        "binding": [head for head in every if head not in binding],
        "others": list(binding),
        "token": every,
    }
    maze = np.concatenate([batch.maze for batch in batches])
    connection = np.concatenate([batch.given for batch in batches])
    kept = np.isin(connection, known.connections)
    if not kept.any():
        return []
    maze, connection = maze[kept], connection[kept]
    own = np.searchsorted(known.connections, connection)
    read = _Read(maze, connection, own, study.values([])[kept])
    found = {name: study.values(heads)[kept] for name, heads in ablated.items()}
    found[TABLE] = _table(read)
    sst = ((read.values - read.values.mean(axis=0)) ** 2).sum(axis=1)
    rows = list[PredictionRow]()
    for name, predicted in found.items():
        sse = ((read.values - predicted) ** 2).sum(axis=1)
        for nth in range(len(maze)):
            rows.append(
                PredictionRow(
                    site=str(known.location),
                    split="test",
                    circuit=name,
                    maze_id=int(subject.mazes.maze_id[maze[nth]]),
                    connection=int(connection[nth]),
                    value=float(read.values[nth, own[nth]]),
                    predicted=float(predicted[nth, own[nth]]),
                    sse=float(sse[nth]),
                    sst=float(sst[nth]),
                )
            )
    return rows


def _table(read: _Read) -> Values:
    """The mean values at tokens of the same connection in the other mazes; the mean over all other
    mazes where no other one has it."""
    n = np.bincount(read.own)[read.own]
    total = np.zeros((read.own.max() + 1, read.values.shape[1]))
    np.add.at(total, read.own, read.values)
    of_same = (total[read.own] - read.values) / np.maximum(1, n - 1)[:, None]
    of_any = (read.values.sum(axis=0) - read.values) / max(1, len(n) - 1)
    return np.where(n[:, None] > 1, of_same, of_any)
