"""What is going on inside the model while it reads a scene's prompt, question and path: attention
of every head, and the SAE's latents where connections are written.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from mazewm.explore.answers import Answer, Explorer
from mazewm.inference import edits
from mazewm.interventions.edits import TOLD
from mazewm.io.errors import BadInput
from mazewm.maze.tokens import Vocabulary, encode_questions
from mazewm.model.sites import Place, Site
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import TRAINED


@dataclass(frozen=True)
class Inside:
    """One sequence that the model reads with the change and, where the change is no other prompt,
    without it."""

    tokens: tuple[str, ...]
    n_list: int  # how many of the tokens are the adjacency list
    attention: Float[np.ndarray, "layer head query key"]
    attention_before: Float[np.ndarray, "layer head query key"]
    resid: Float[torch.Tensor, "pos d_model"]  # where connections are written, with the change
    resid_before: Float[torch.Tensor, "pos d_model"]


@torch.inference_mode()
def look(explorer: Explorer, answer: Answer) -> Inside:
    """Read the prompt, the question and the path that the model walks with the change."""
    scene, run = answer.scene, explorer.run
    grid, vocabulary = scene.maze.grid, Vocabulary(scene.maze.grid.n)
    in_prompt = scene.edited if scene.method == TOLD else scene.maze
    path = np.array([in_prompt.number(cell) for cell in answer.after.path], int)
    ends = (np.array(in_prompt.number(c)) for c in (in_prompt.origin, in_prompt.target))
    read = explorer.told(in_prompt).encoded.lists[0]
    tokens = np.concatenate(
        [read, encode_questions(grid, *ends), path + vocabulary.first_cell]
    ).astype(np.int64)
    batch = torch.from_numpy(tokens)[None].to(run.model.device)
    place = run.locations.writing.place
    patterns = [Place(layer, Site.PATTERN) for layer in range(run.model.params.n_layers)]
    edit = explorer.edit(scene)
    before = edits.run(run.model, batch, record=[*patterns, place]).values
    after = before
    if edit:
        after = edits.run(run.model, batch, [edit], [*patterns, place]).values

    def attention(values: dict[Place, torch.Tensor]) -> np.ndarray:
        return torch.cat([values[one] for one in patterns]).float().cpu().numpy()

    return Inside(
        tuple(vocabulary.names[token] for token in tokens.tolist()),
        len(read),
        attention(after),
        attention(before),
        after[place][0],
        before[place][0],
    )


@dataclass(frozen=True)
class ActiveLatent:
    """One latent at one token, and what it stands for."""

    latent: int
    value: float  # with the change
    value_before: float
    kind: str  # of the taxonomy
    of: str  # its best label there
    f1: float  # of that label
    connections: tuple[str, ...]  # it is among the ranked latents of these, the best first
    trees: tuple[str, ...]  # connections whose decision tree asks for it


class Meanings:
    """What the latents of the writing site's SAE stand for, by the run's tables ``taxonomy``,
    ``latents`` and ``features``. BadInput if one of them, or the SAE, is missing or broken."""

    def __init__(self, explorer: Explorer) -> None:
        self.run = explorer.run
        self.place = str(self.run.locations.writing.place)
        self.site = str(self.run.locations.writing.source)

    @cached_property
    def sae(self) -> SparseAutoencoder:
        """The SAE itself."""
        return self.run.sae

    @cached_property
    def kinds(self) -> pd.DataFrame:
        """The taxonomy, by latent."""
        rows = self.run.table("taxonomy")
        rows = rows[(rows.place == self.place) & (rows.sae == TRAINED)]
        if len(rows) != self.sae.shape.n_latents:
            raise BadInput(
                f"{self.run.folder('features') / 'taxonomy.parquet'}: expected the "
                f"{self.sae.shape.n_latents} latents of {self.place}, found {len(rows)}."
            )
        return rows.set_index("latent")

    @cached_property
    def ranked(self) -> dict[int, list[tuple[str, float]]]:
        """For each latent the connections that it is ranked for, with F1, the best first."""
        rows = self.run.table("latents")
        rows = rows[rows.site == self.site].sort_values("f1", ascending=False, kind="stable")
        found: dict[int, list[tuple[str, float]]] = {}
        for latent, e, f1 in zip(rows.latent, rows.connection, rows.f1, strict=True):
            found.setdefault(int(latent), []).append((self.run.grid.name(int(e)), float(f1)))
        return found

    @cached_property
    def in_trees(self) -> dict[int, list[str]]:
        """For each latent the connections whose deepest decision tree asks for it."""
        rows = self.run.table("features")
        rows = rows[(rows.site == self.site) & (rows.readout == "latents")]
        deepest = rows.sort_values("depth").drop_duplicates("connection", keep="last")
        found: dict[int, list[str]] = {}
        for e, units in zip(deepest.connection, deepest.units, strict=True):
            for unit in units:
                found.setdefault(int(unit), []).append(self.run.grid.name(int(e)))
        return found

    def strongest(self, inside: Inside, at: int, n: int = 8) -> list[ActiveLatent]:
        """The latents that are strongest at a token, with the change or without it."""
        after, before = (
            self.sae.encode(resid[at]).cpu().numpy()
            for resid in (inside.resid, inside.resid_before)
        )
        either = np.maximum(after, before)
        ids: Int[np.ndarray, " latent"] = np.argsort(-either, kind="stable")[:n]
        return [
            ActiveLatent(
                int(i),
                float(after[i]),
                float(before[i]),
                str(self.kinds.kind[i]),
                str(self.kinds.of[i]),
                float(self.kinds.f1[i]),
                tuple(f"{name} (F1 {f1:.2f})" for name, f1 in self.ranked.get(int(i), [])[:2]),
                tuple(self.in_trees.get(int(i), [])[:3]),
            )
            for i in ids
            if either[i] > 0
        ]
