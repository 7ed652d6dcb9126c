"""Where can a connection be written? python benchmarks/writable_places.py MODEL MAZES

MODEL is such as artifacts/models/rotary-0/transformer.safetensors, MAZES such as artifacts/mazes. On additions in validation mazes
(all of them, whether the model solves them or not) the mean difference is added at every c2 and at every ``;``, after each block, at
doses 1, 2 and 4: the share of rollouts that take the predicted path. An exploration; no choice of the pipeline rests on it.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from mazewm.directions import mean_differences
from mazewm.maze import mazes
from mazewm.maze.examples import additions, with_new_ends
from mazewm.model.edits import Taps, add_at
from mazewm.model.rollout import rollout
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.recording import record
from mazewm.tokens import TokenClass, spell, spelling_positions

DOSES = (1.0, 2.0, 4.0)


def main(model: Path, folder: Path) -> None:
    """Print one line for each place and token."""
    transformer = Transformer.load(model)
    fit, rng = mazes.read(folder / "train.parquet")[:2000], np.random.default_rng(0)
    asked = additions(with_new_ends(mazes.read(folder / "validation.parquet"), rng, 4), rng, 15)
    places = [Place(layer, Site.RESID_POST) for layer in range(transformer.params.n_layers)]
    recorded = list(record(transformer, fit, places, np.random.default_rng(0), 250))
    connection = np.concatenate([part.spelled.order.ravel() for part in recorded])
    for place in places:
        for token in (TokenClass.C2, TokenClass.DELIMITER):
            at = [part.values[place][:, spelling_positions(part.spelled.n_connections, token)].flatten(0, 1).numpy() for part in recorded]
            arrows = mean_differences(np.concatenate(at), connection, fit.grid.n_connections)
            followed = np.zeros((len(DOSES), len(asked)), bool)
            for n, index in asked.mazes.by_n_connections().items():
                prompt = torch.from_numpy(spell(asked.mazes[index], np.random.default_rng(1)).prompt)
                positions = torch.from_numpy(np.tile(spelling_positions(n, token), (len(index), 1)))
                for nth, dose in enumerate(DOSES):
                    push = torch.from_numpy(dose * arrows[asked.connection[index]]).float()
                    walked = rollout(transformer, prompt, Taps([add_at(place, positions, lambda value, push=push: push[:, None])]))
                    width = asked.edited.path.shape[1]
                    on_path = (walked[:, :width] == asked.edited.path[index]).all(axis=1)
                    followed[nth, index] = on_path & (walked[:, width:] == -1).all(axis=1)
            shares = "  ".join(f"{dose:g}: {share:.2f}" for dose, share in zip(DOSES, followed.mean(axis=1), strict=True))
            print(f"{place} at {token}   {shares}   n = {len(asked)}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        print(__doc__.splitlines()[0])
