"""Train a HookedTransformer on mazes with TransformerLens and torch alone, then study it with
mazewm: where it reads and writes connections, and what edits by an SAE's latents change.

    python examples/study_hooked_transformer.py NEW_FOLDER

It needs TransformerLens, as in .venv-bench of `make bench`; minutes on one core. ``--steps``,
``--mazes`` and ``--tiny`` make it shorter, and its results worse.
"""

import argparse

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from mazewm.datasets import MazeParams, generate
from mazewm.elsewhere import Options, Settings, study
from mazewm.io.params import load
from mazewm.maze.tokens import PADDING, Vocabulary, encode, encoding_rng

# what is changed in the sections of params.yaml at scale tiny
MORE = {
    "consolidation": {"n_mazes": 300},
    "writing": {"n_mazes": 300, "doses": [2.0, 4.0]},
    "activations": {"n_train_mazes": 1500, "n_held_out_mazes": 300, "n_untrained_mazes": 300},
    "sae": {"widths": [64], "sparsities": [4, 8], "n_sweep_samples": 20_000, "n_samples": 50_000,
            "n_control_samples": 20_000, "n_sweep_mazes": 100, "n_evaluated_mazes": 200},
    "interventions": {"n_per_connection": 8, "set_sizes": [1, 4], "doses": [2.0, 4.0],
                      "corridor_lengths": [1], "n_added": [0]},
}  # fmt: skip


def mazes_of(n_train: int) -> dict:
    """Mazes on a 3x3 lattice; no held-out one is a training maze, turned, mirrored or moved."""
    params = load(MazeParams, "mazes", scale="tiny")
    sizes = {"n_train": n_train, "n_validation": 300, "n_test": 300}
    return generate(params.model_copy(update=sizes), seed=0)


def trained(mazes, steps: int) -> HookedTransformer:
    """A transformer that writes the path behind the prompt. Nothing of mazewm is in it."""
    vocabulary = Vocabulary(mazes.grid.n)
    model = HookedTransformer(
        HookedTransformerConfig(
            n_layers=2, d_model=64, n_heads=4, d_head=16, d_mlp=128, act_fn="gelu",
            n_ctx=vocabulary.max_length, d_vocab=len(vocabulary), normalization_type="LN",
            positional_embedding_type="rotary", seed=0, device="cpu",
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.99))
    warm = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    rng, done = encoding_rng(0), 0
    batches = list(mazes.batches(32))  # each of equally many connections, so of equal prompts
    while True:
        for number in rng.permutation(len(batches)):
            some = batches[number]
            encoded = encode(mazes[some], rng)
            tokens, first = torch.from_numpy(encoded.tokens), encoded.prompt.shape[1]
            logits, path = model(tokens[:, :-1])[:, first - 1 :], tokens[:, first:]
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), path.flatten(), ignore_index=PADDING
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            warm.step()
            done += 1
            if done % 100 == 0:
                print(f"step {done}: loss {loss.item():.3f}", flush=True)
            if done == steps:
                return model.requires_grad_(False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=1400)
    parser.add_argument("--mazes", type=int, default=20_000, help="for training")
    parser.add_argument("--tiny", action="store_true", help="measure as little as scale tiny does")
    given = parser.parse_args()
    sets = mazes_of(given.mazes)
    settings = Settings.at("tiny", {} if given.tiny else MORE)
    found = study(
        trained(sets["train"], given.steps), sets, given.folder, settings, Options("gelu")
    )
    print(found.summary)
    print(found.table("units").head(3))
