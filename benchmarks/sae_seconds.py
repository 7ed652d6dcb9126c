"""The quality of SAEs after equal training time, against SAELens and dictionary_learning.

Run as ``python -m benchmarks.sae_seconds [--tune] [FOLDER PLACE CLASS]``. With arguments, for
example artifacts/activations/learned-all-0/trained, 0.resid_post and c2, the activations are a
model's. Without, they are synthetic: sums of 8 of 400 directions, most of which are rare.

Each round trains a TopK SAE with every library on one thread, in turn and from one seed, on as many
samples as take SECONDS of processor time (about the time of our recipe's samples). Measured on
held-out activations:

* explained variance;
* the Matthews correlation of the best single latent at its best threshold, both chosen on one half
  of the held-out tokens and measured on the other, mean over concepts (the connections, at the
  tokens of CLASS; the directions, in synthetic activations).

``--tune`` tries all settings of GRID with every library, ours too, for the same time, on validation
tokens and with seeds of its own. A rule that was fixed before any run chooses one setting for each
library: the highest mean of explained variance and correlation, over both widths and the seeds.
(The grid's last rate was added for all libraries when the last but one was best for a peer.)
CHOSEN has the settings of the peers; ours is in params.yaml. Reported results are of test tokens
and other seeds.

The peers get activations in memory that are already in single precision, centred and scaled to
E|x|^2 = d_model, and use their own training loops without logging; ours reads half precision and
scales it as part of the timed training. AuxK is each library's own, with as short a window for dead
latents as ours. Warm-up and decay are as in ours.
"""

import functools
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.pairing import OURS, Line, rows
from mazewm.io.params import load
from mazewm.localize.activations import FILE, read
from mazewm.maze.tokens import TokenClass
from mazewm.sae import gradients
from mazewm.sae.params import Point, SaeParams
from mazewm.sae.training import train

K, WIDTHS = 8, (256, 512)
SECONDS, TOLERANCE = 2.0, 0.05  # of a training, and its relative tolerance
FIRST_TRIAL, TRIALS = 40_000, 5  # samples of the first training; most trainings
GRID = [(lr, batch) for batch in (256, 512, 1024) for lr in (0.0015, 0.003, 0.006, 0.012, 0.024)]
CHOSEN = {"sae-lens": (0.012, 512), "dictionary-learning": (0.012, 512)}
TUNING_SEEDS, SEEDS = range(100, 102), range(1000, 1005)
DEAD_SHARE = 0.05  # window for dead latents as a share of the samples, as in params.yaml


class Data(NamedTuple):
    """Activations for training, held-out ones, and the concepts to detect in the latter."""

    train: np.ndarray  # [token, d_model], half precision
    held_out: np.ndarray  # [token, d_model], single precision, for explained variance
    probed: np.ndarray  # [token, d_model], single precision, for the detection of concepts
    concepts: np.ndarray  # [token, concept], bool
    even: np.ndarray  # [token], bool: the half of the probed tokens on which detectors are chosen


class Trained(NamedTuple):
    """An SAE and how long its training took."""

    seconds: float
    encode: Callable[[torch.Tensor], torch.Tensor]
    decode: Callable[[torch.Tensor], torch.Tensor]


def made_up(
    split: str,
    n: int = 120_000,
    n_held_out: int = 20_000,
    d_model: int = 128,
    n_concepts: int = 400,
) -> Data:
    """Synthetic sums of 8 directions of lengths 1 to 2, direction r at weight 1 / (r + 20)."""
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((n_concepts, d_model)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    share = 1 / (np.arange(n_concepts) + 20)
    lengths = np.zeros((n + 2 * n_held_out, n_concepts), np.float32)
    drawn = rng.choice(n_concepts, (len(lengths), 8), p=share / share.sum())
    np.put_along_axis(lengths, drawn, rng.uniform(1, 2, drawn.shape).astype(np.float32), axis=1)
    values = lengths @ directions
    rows = slice(n, n + n_held_out) if split == "validation" else slice(n + n_held_out, None)
    held_out, concepts = values[rows], lengths[rows] > 0
    return Data(
        values[:n].astype(np.float16), held_out, held_out, concepts, np.arange(n_held_out) % 2 == 0
    )


def cached(folder: Path, place: str, token_class: TokenClass, split: str) -> Data:
    """A model's activations, with connections as concepts; each half has whole mazes."""
    held_out = read(folder / split / place)
    at = held_out.at(token_class)
    concepts = at.connection[:, None] == np.unique(at.connection)
    return Data(
        read(folder / "train" / place).values,
        held_out.values.astype(np.float32),
        at.values.astype(np.float32),
        concepts,
        at.maze_id % 2 == 0,
    )


def best_latent_mcc(z: np.ndarray, concepts: np.ndarray, even: np.ndarray) -> float:
    """The Matthews correlation of "latent > threshold" with each concept on the odd tokens, mean
    over concepts; latent and threshold are those that are best on the even tokens."""
    fit, truth = z[even], concepts[even]
    n, n_true = len(fit), truth.sum(axis=0)
    best, latent, threshold = (np.zeros(concepts.shape[1]) for _ in range(3))
    for unit in range(fit.shape[1]):
        on = np.flatnonzero(fit[:, unit] > 0)
        if len(on) == 0:
            continue
        on = on[np.argsort(-fit[on, unit], kind="stable")]
        said, hits = np.arange(1, len(on) + 1)[:, None], truth[on].cumsum(axis=0)
        mcc = _matthews(hits, said, n_true, n)
        at = mcc.argmax(axis=0)
        better = mcc.max(axis=0) > best
        below = np.append(fit[on, unit], 0.0)[at + 1]
        best[better], latent[better], threshold[better] = (
            mcc.max(axis=0)[better],
            unit,
            below[better],
        )
    said = z[~even][:, latent.astype(int)] > threshold
    said[:, best == 0] = False
    truth = concepts[~even]
    return float(
        _matthews(
            (said & truth).sum(axis=0), said.sum(axis=0), truth.sum(axis=0), len(truth)
        ).mean()
    )


def _matthews(hits: np.ndarray, said: np.ndarray, true: np.ndarray, n: int) -> np.ndarray:
    """Matthews correlation from counts; 0 where all or none are predicted or true."""
    size = np.sqrt(said * (n - said) * 1.0 * true * (n - true))
    return np.where(size > 0, (n * 1.0 * hits - said * 1.0 * true) / np.maximum(size, 1e-9), 0.0)


def quality(trained: Trained, data: Data) -> tuple[float, float]:
    """Explained variance, and the mean Matthews correlation of the best latents."""
    with torch.inference_mode():
        x = torch.from_numpy(data.held_out)
        error = x - trained.decode(trained.encode(x))
        explained = 1 - float(error.pow(2).sum() / (x - x.mean(dim=0)).pow(2).sum())
        z = trained.encode(torch.from_numpy(data.probed)).numpy()
    return explained, best_latent_mcc(z, data.concepts, data.even)


class _Scaled(NamedTuple):
    """Activations for our training (``values``) and, centred and scaled, for the peers (``x``)."""

    values: np.ndarray
    x: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, values: np.ndarray) -> "_Scaled":
        x = torch.from_numpy(values.astype(np.float32))
        mean = x[:20_000].mean(dim=0)
        scale = (x.shape[1] / (x[:20_000] - mean).pow(2).sum(dim=1).mean()).sqrt()
        return cls(values, (x - mean) * scale, mean, scale)

    def batches(self, size: int) -> Iterator[torch.Tensor]:
        while True:
            yield from self.x[: len(self.x) // size * size].split(size)

    def trained(self, seconds: float, encode: Callable, decode: Callable) -> Trained:
        """A peer's SAE, for activations that are not centred and scaled."""
        return Trained(
            seconds,
            lambda x: encode((x - self.mean) * self.scale),
            lambda z: decode(z) / self.scale + self.mean,
        )


def ours(data: _Scaled, width: int, seed: int, n_samples: int, lr: float, batch: int) -> Trained:
    """Our TopK SAE: the recipe of params.yaml apart from learning rate and batch size."""
    params = _recipe().model_copy(
        update={"activation": "topk", "n_threads": 1, "lr": lr, "batch_size": batch}
    )
    since = time.process_time()
    sae = train(data.values, params, Point(width, K), seed, n_samples)
    return Trained(time.process_time() - since, sae.encode, sae.decode)


def _recipe() -> SaeParams:
    return load(SaeParams, "sae")


def sae_lens(
    data: _Scaled, width: int, seed: int, n_samples: int, lr: float, batch: int
) -> Trained:
    """SAELens: TopKTrainingSAE in SAETrainer, with its loss and AuxK; decay over the last half."""
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(seed)
    n_steps = n_samples // batch
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=data.x.shape[1], d_sae=width, k=K))
    config = SAETrainerConfig(
        total_training_samples=n_steps * batch,
        train_batch_size_samples=batch,
        lr=lr,
        lr_warm_up_steps=n_steps // 20,
        lr_decay_steps=n_steps // 2,
        lr_end=0.0,
        dead_feature_window=max(1, int(DEAD_SHARE * n_steps)),
    )
    trainer = SAETrainer(config, sae, data.batches(batch))
    since = time.process_time()
    trainer.fit()
    return data.trained(time.process_time() - since, sae.encode, sae.decode)


def dictionary_learning(
    data: _Scaled, width: int, seed: int, n_samples: int, lr: float, batch: int
) -> Trained:
    """dictionary_learning: TopKTrainer, with AuxK's window as short as ours; its own, of 10 million
    samples, would be longer than the training."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    n_steps = n_samples // batch
    trainer = TopKTrainer(
        steps=n_steps,
        activation_dim=data.x.shape[1],
        dict_size=width,
        k=K,
        layer=0,
        lm_name="",
        lr=lr,
        warmup_steps=n_steps // 20,
        decay_start=n_steps // 2,
        device="cpu",
        seed=seed,
    )
    trainer.dead_feature_threshold = DEAD_SHARE * n_samples
    since = time.process_time()
    for step, x in zip(range(n_steps), data.batches(batch), strict=False):
        trainer.update(step, x)
    return data.trained(time.process_time() - since, trainer.ae.encode, trainer.ae.decode)


LIBRARIES = {OURS: ours, "sae-lens": sae_lens, "dictionary-learning": dictionary_learning}


class Measured(NamedTuple):
    """The size, time and quality of one training."""

    samples: int
    seconds: float
    explained_variance: float
    mcc: float

    def of(self, unit: str) -> float:
        """The measure of a row with this unit."""
        if unit == "samples/s":
            return self.samples / self.seconds
        return self.mcc if unit == "MCC" else self.explained_variance


class Rounds:
    """Trainings of SECONDS each; the number of samples that they take is kept between rounds."""

    def __init__(self, data: Data) -> None:
        self.data, self.scaled = data, _Scaled.of(data.train)
        self.n_samples: dict[tuple, int] = {}

    def one(self, name: str, width: int, seed: int, lr: float, batch: int) -> Measured:
        """Train; repeat with another number of samples if the time was not near SECONDS."""
        key = name, width, lr, batch
        for _ in range(TRIALS):
            n = self.n_samples.get(key, FIRST_TRIAL)
            trained = LIBRARIES[name](self.scaled, width, seed, n, lr, batch)
            if abs(trained.seconds / SECONDS - 1) <= TOLERANCE:
                break
            self.n_samples[key] = int(n * SECONDS / trained.seconds)
        return Measured(n, trained.seconds, *quality(trained, self.data))


PARTS = {
    "encoder's product": (gradients, "encode"),
    "which latents are the largest": (gradients, "largest"),
    "pairs sorted by latent": (gradients._ByLatent, "of"),
    "sums over pairs (embedding_bag)": (F, "embedding_bag"),
    "products at pairs": (gradients, "_products"),
    "rest of the TopK gradient": (gradients, "topk"),
    "AuxK, with its own top-k": (gradients, "add_auxk"),
    "Adam": (torch.optim.Adam, "step"),
}


def account(train_once: Callable[[], object]) -> dict[str, float]:
    """The share of a training's time that each of PARTS takes, without other parts that it calls;
    calls by AuxK count as AuxK. (torch's profiler does not see the sorting, which NumPy does.)"""
    spent: Counter[str] = Counter()
    inside: list[str] = []

    def timed(part: str, function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            own = inside[-1] if inside[-1:] == ["AuxK, with its own top-k"] else part
            inside.append(own)
            since = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                took = time.process_time() - since
                inside.pop()
                spent[own] += took
                if inside:
                    spent[inside[-1]] -= took

        return call

    with ExitStack() as patches:
        for part, (owner, name) in PARTS.items():
            patches.enter_context(mock.patch.object(owner, name, timed(part, getattr(owner, name))))
        since = time.process_time()
        train_once()
        total = time.process_time() - since
    shares = {part: round(spent[part] / total, 4) for part in PARTS}
    return shares | {"all others": round(1 - sum(shares.values()), 4)}


def compare(data: Data, where: str) -> list[dict[str, Any]]:
    """Rows for each width, measure and peer, and the parts of our training time."""
    torch.set_num_threads(1)
    recipe = _recipe()
    settings = {OURS: (recipe.lr, recipe.batch_size), **CHOSEN}
    rounds, found = Rounds(data), []
    for width in WIDTHS:
        by_name: dict[str, list[Measured]] = {name: [] for name in settings}
        for seed in SEEDS:
            for name, (lr, batch) in settings.items():
                by_name[name].append(rounds.one(name, width, seed, lr, batch))
        seconds = ", ".join(
            f"{name} {statistics.median(m.seconds for m in by_name[name]):.2f}" for name in by_name
        )
        for unit in ("samples/s", "explained variance", "MCC"):
            values = {name: [m.of(unit) for m in by_name[name]] for name in by_name}
            line = Line(
                f"SAE, width {width}, k {K}", f"{unit} after equal seconds, {where}", unit, ""
            )
            for row in rows(line, values):
                won = sum(a >= b for a, b in zip(values[OURS], values[row["peer"]], strict=True))
                row["checked"] = f"no less in {won} of {len(SEEDS)} rounds; seconds: {seconds}"
                found.append(row)
                print(
                    "{name}: {work:50s} {peer:20s} {ours:10.4f} {theirs:10.4f}  "
                    "x{ratio:.3f} [{ratio_low:.3f}, {ratio_high:.3f}]  {checked}".format(**row),
                    flush=True,
                )
        n = by_name[OURS][-1].samples
        again = functools.partial(ours, rounds.scaled, width, SEEDS[0], n, *settings[OURS])
        shares = account(again)
        next(row for row in found if row["name"] == line.name)["account"] = shares
        print("\n".join(f"    {part:32s} {share:6.1%}" for part, share in shares.items()))
    return found


def run() -> list[dict[str, Any]]:
    """The comparison on synthetic activations, and on a model's if the pipeline has cached them."""
    found = compare(made_up("test"), "made-up activations")
    folder, place = Path("artifacts/activations/learned-all-0/trained"), "0.resid_post"
    if (folder / "test" / place / FILE).is_file():
        found += compare(cached(folder, place, TokenClass.C2, "test"), "after block 0, c2")
    return found


def tune(data: Data) -> None:
    """Print the results of all settings on validation tokens, and the choice for each library."""
    torch.set_num_threads(1)
    rounds = Rounds(data)
    print(f"seeds {[*TUNING_SEEDS]}, means; score: of explained variance and MCC, both widths")
    print("library              lr     batch  [samples/s  explained  MCC] by width          score")
    for name in LIBRARIES:
        scores = {}
        for lr, batch in GRID:
            cells = [
                np.mean(
                    [
                        [m.of("samples/s"), m.explained_variance, m.mcc]
                        for m in (rounds.one(name, width, seed, lr, batch) for seed in TUNING_SEEDS)
                    ],
                    axis=0,
                )
                for width in WIDTHS
            ]
            scores[lr, batch] = float(np.mean(cells, axis=0)[1:].mean())
            by_width = "".join(f"  {rate:9.0f} {e:.4f} {mcc:.4f}" for rate, e, mcc in cells)
            print(f"{name:20s} {lr:<6g} {batch:5d}{by_width}  {scores[lr, batch]:.4f}", flush=True)
        print(f"{name:20s} chosen: {max(scores, key=scores.__getitem__)}", flush=True)


if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--tune"]
    split = "validation" if "--tune" in sys.argv else "test"
    data = (
        cached(Path(arguments[0]), arguments[1], TokenClass(arguments[2]), split)
        if arguments
        else made_up(split)
    )
    if "--tune" in sys.argv:
        tune(data)
    else:
        compare(data, " ".join(arguments) or "made-up activations")
