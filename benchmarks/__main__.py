"""Run benchmarks and record their results: ``python -m benchmarks [NAME ...]``.

Without a name, all of them run. New rows of a benchmark replace its old ones for the same kind of
processor.
"""

import importlib
import importlib.util
import sys
import time

import torch

from benchmarks import machine, report

NAMES = (
    "generate_mazes",
    "training_step",
    "activation_cache",
    "sae_seconds",
    "edited_rollouts",
    "loading",
)


def main(names: list[str]) -> int:
    """Run the named benchmarks; returns the exit code: 1 if a peer is not installed, 2 for an
    unknown name."""
    there = [name for name in NAMES if importlib.util.find_spec(f"benchmarks.{name}")]
    for name in names:
        if name not in there:
            print(f"error: {name}: expected one of {', '.join(there)}.", file=sys.stderr)
            return 2
    torch.set_num_threads(1)
    print(f"{machine.kind()}; one thread", flush=True)
    missing = False
    for name in names or there:
        since = time.perf_counter()
        print(f"== {name}", flush=True)
        try:
            rows = importlib.import_module(f"benchmarks.{name}").run()
        except ImportError as error:
            print(
                f"error: {name}: {error}; make bench installs the peers. Its old rows are kept.",
                file=sys.stderr,
            )
            missing = True
            continue
        report.record(name, rows)
        for row in rows:
            ours, theirs = (
                f"{report.number(row[who])} {row['unit']}" for who in ("ours", "theirs")
            )
            spread = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
            beside = f"{row['peer']} {row['peer_version']} {theirs}"
            print(f"{row['name']}: {ours}, {beside}: {spread}; {row['checked']}")
        print(f"{time.perf_counter() - since:.0f} s", flush=True)
    return int(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
