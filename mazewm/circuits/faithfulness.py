"""How much of what a block's attention does for the path is done by its binding heads alone
(docs/science.md#faithfulness).

    faithfulness = (m(C) - m(0)) / (m(M) - m(0))

m is the mean log-probability of the true path's tokens (``<PATH_END>`` included, nats per token,
with teacher forcing). M is the whole model, C the model with only the circuit's heads left in the
block, and 0 the model with none of the block's heads left.

1: the circuit does all that the block's attention does; 0: it does nothing. The output of an
ablated head is replaced, at every position of the prompt, by its mean at that position over the
other mazes with equally many connections, of which there must be one at least; at the positions of
the path it is not replaced. Circuits: ``binding``; ``complement``, all other heads of the block;
``random``, another set of as many heads as ``binding`` has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mazewm.circuits.attention import BindingHead
from mazewm.inference.edits import Edit, Taps, run_blocks
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import Location
from mazewm.maze.tokens import PADDING, encode, prompt_length
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer

# Of the log-probability: a smaller effect of ablating all heads is rounding.
NOTHING = 1e-6


@dataclass(frozen=True)
class FaithfulnessRow:
    """One circuit of the attention of one block."""

    site: tables.Text
    circuit: tables.Text  # binding, complement, random
    heads: tables.Text  # the heads that are left, such as "0.1 0.3"
    n_heads: tables.Int
    m_model: tables.Real  # nats per token
    m_circuit: tables.Real  # nats per token
    m_empty: tables.Real  # nats per token
    faithfulness: tables.Real
    n: tables.Int  # mazes


@torch.inference_mode()
def measure(
    subject: Subject, binding: Mapping[Location, Sequence[BindingHead]]
) -> list[FaithfulnessRow]:
    """Faithfulness of the circuits of each site's block; a block has no rows if ablating all of its
    heads changes nothing. Mazes with a number of connections that no other maze has are left out:
    the mean that stands for their heads would be their own."""
    groups = [index for index in subject.mazes.by_n_connections().values() if len(index) > 1]
    if not groups:
        return []
    n_mazes = sum(map(len, groups))
    every = tuple(range(subject.transformer.params.n_heads))
    circuits = {
        site: _circuits(site, heads, every, subject.rng("random heads"))
        for site, heads in binding.items()
    }
    rows = []
    for layer in sorted({site.layer for site in circuits}):
        here = {site: named for site, named in circuits.items() if site.layer == layer}
        # Sites of one block share most of their circuits, so each is measured once.
        kept = dict.fromkeys(
            [every, (), *(heads for named in here.values() for heads in named.values())]
        )
        m = dict(zip(kept, _path_log_probability(subject, layer, list(kept)), strict=True))
        if abs(m[every] - m[()]) <= NOTHING * abs(m[every]):
            continue
        for site, named in here.items():
            for name, heads in named.items():
                share = (m[heads] - m[()]) / (m[every] - m[()])
                text = " ".join(f"{layer}.{head}" for head in heads)
                rows.append(
                    FaithfulnessRow(
                        site=str(site),
                        circuit=name,
                        heads=text,
                        n_heads=len(heads),
                        m_model=m[every],
                        m_circuit=m[heads],
                        m_empty=m[()],
                        faithfulness=share,
                        n=n_mazes,
                    )
                )
    return rows


def _circuits(
    site: Location, binding: Sequence[BindingHead], every: tuple[int, ...], rng: np.random.Generator
) -> dict[str, tuple[int, ...]]:
    """The heads that each circuit keeps in the site's block."""
    kept = tuple(sorted(h.head for h in binding if h.layer == site.layer))
    circuits = {"binding": kept, "complement": tuple(h for h in every if h not in kept)}
    alternatives = [c for c in combinations(every, len(kept)) if c != kept]
    if alternatives:
        circuits["random"] = alternatives[rng.integers(len(alternatives))]
    return circuits


def _path_log_probability(subject: Subject, layer: int, kept: list[tuple[int, ...]]) -> list[float]:
    """m for each list of heads that a block keeps."""
    model, mazes, batch, rng = (
        subject.transformer,
        subject.mazes,
        subject.batch,
        subject.rng("faithfulness"),
    )
    total, n_tokens = np.zeros(len(kept)), 0
    for n, index in mazes.by_n_connections().items():
        if len(index) < 2:
            continue
        encoded = [
            encode(mazes[index[start : start + batch]], rng)
            for start in range(0, len(index), batch)
        ]
        before = [
            _before(model, torch.from_numpy(s.tokens).to(model.device), layer) for s in encoded
        ]
        length = prompt_length(n)
        z = [_z(model, resid[:, :length], layer) for resid in before]
        summed = torch.cat(z).sum(dim=0)
        means = [(summed - own) / (len(index) - 1) for own in z]  # a maze's own is left out
        for s, resid, mean in zip(encoded, before, means, strict=True):
            tokens = torch.from_numpy(s.tokens).to(model.device)
            target = tokens[:, length:]
            n_tokens += int((target != PADDING).sum())
            total += [_log_probability(model, resid, layer, heads, mean, target) for heads in kept]
    return [float(m) for m in total / n_tokens]


def _before(model: Transformer, tokens: Tensor, layer: int) -> Tensor:
    """The residual stream before a block, without the last token, which predicts nothing."""
    return run_blocks(model, model.embed(tokens[:, :-1]), range(layer), Taps())


def _z(model: Transformer, resid: Tensor, layer: int) -> Tensor:
    """The outputs of a block's heads, ``[maze, head, pos, d_head]``."""
    taps = Taps(record=[Place(layer, Site.Z)])
    run_blocks(model, resid, range(layer, layer + 1), taps)
    return taps.values[Place(layer, Site.Z)]


def _log_probability(
    model: Transformer,
    resid: Tensor,
    layer: int,
    kept: tuple[int, ...],
    mean: Float[Tensor, "maze head pos d_head"],
    target: Tensor,
) -> float:
    """Summed log-probability of the ``target`` tokens, with all heads but ``kept`` mean-ablated on
    the prompt."""
    gone = [head for head in range(model.params.n_heads) if head not in kept]

    def ablate(z: Tensor) -> Tensor:
        edited = z.clone()
        edited[:, gone, : mean.shape[2]] = mean[:, gone]
        return edited

    edits = [Edit(Place(layer, Site.Z), ablate)] if gone else []
    resid = run_blocks(model, resid, range(layer, model.params.n_layers), Taps(edits))
    path = model.unembed(resid[:, -target.shape[1] :])
    chosen = path.log_softmax(dim=-1).gather(2, target[..., None])[..., 0]
    return float((chosen * (target != PADDING)).cpu().double().sum())
