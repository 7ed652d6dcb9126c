"""How time and memory of every stage grow: ``python -m benchmarks.growth [FACTOR ...]``.

The stages of one transformer run as dvc.yaml has them, at scale tiny but on 5x5 cells, each in a
process of its own, while one of three sizes is multiplied by the factors. Unless factors are given
these are 1, 4 and 16, and for data also 64:

* data: every number of mazes, steps and samples of the scale;
* width: of the residual stream and the MLP, with as many heads;
* SAE width: from the stage train_sae on.

What importing costs is subtracted: time is a stage's own processor time, memory the peak above
what was held once everything was imported. An exponent is the slope of the line through the last
two sizes on logarithmic axes: 1 is linear, 0 constant. Writes growth.json and growth.png,
beside this file.
"""

import itertools
import json
import os
import resource
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from mazewm.io import files
from stages.plain_script import steps

ROOT, HERE = Path(__file__).parent.parent, Path(__file__).parent
FACTORS = [1, 4, 16]
MORE_DATA = [64]  # for data only; at smaller factors fixed costs dominate in some stages
# Numbers that are no amounts of data, or whose product with another is one.
FIXED = {"n_observations", "n_threads", "n_questions", "n_redrawn", "n_several"}
SECTIONS_WITHOUT_DATA = {"transformer"}
HEAVY = [
    "torch",
    "sklearn.tree",
    "sklearn.linear_model",
    "scipy.stats",
    "pandas",
    "pyarrow.parquet",
]
HEAVY += ["typer", "rich.progress", "matplotlib.pyplot", "seaborn"]
LEAST = {"seconds": 0.01, "megabytes": 1.0}  # less is noise
AXES = ("data", "width", "SAE width")
FIRST_WITH_SAE = "train_sae"
# axis -> stage -> factor, seconds, megabytes
Measured = dict[str, dict[str, list[dict[str, float]]]]


def settings(axis: str, factor: int) -> dict[str, Any]:
    """params.yaml of one learned transformer at scale tiny, with one size multiplied."""
    params = outputs_yaml(ROOT / "params.yaml") | {
        "scale": "tiny",
        "encodings": ["learned"],
        "objectives": ["all"],
        "seeds": [0],
    }
    tiny = params["scales"]["tiny"]
    # On fewer cells there are too few questions for 64 times as many mazes.
    tiny["mazes"]["vocabulary_size"] = 5
    for family in (*tiny["mazes"]["families"].values(), tiny["mazes"]["overload"]):
        family["size"] = 5
    if axis == "data":
        for name, section in tiny.items():
            for key, value in section.items():
                is_amount = key.startswith("n_") and key not in FIXED and isinstance(value, int)
                if is_amount and name not in SECTIONS_WITHOUT_DATA:
                    section[key] = value * factor
    elif axis == "width":
        for key in ("d_model", "d_mlp"):
            tiny["transformer"][key] *= factor
    else:
        tiny["sae"]["widths"] = [width * factor for width in tiny["sae"]["widths"]]
    return params


def outputs_yaml(path: Path) -> dict[str, Any]:
    """A file of settings."""
    return dict(yaml.safe_load(path.read_text()))


def measure(module: str, arguments: list[str], result: Path) -> None:
    """Run a stage's command in this process and write what it took beyond the imports."""
    for name in HEAVY:
        __import__(name)
    sys.argv = [module, *arguments]
    since, held = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code:
            raise
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # ru_maxrss counts bytes there, kilobytes elsewhere
    per_megabyte = 1e6 if sys.platform == "darwin" else 1e3
    taken = {"seconds": time.process_time() - since, "megabytes": (peak - held) / per_megabyte}
    files.write_json(result, taken)


def run_stage(command: str, folder: Path) -> dict[str, float]:
    """What a stage took in ``folder``."""
    python, flag, module, *arguments = shlex.split(command)
    if (python, flag) != ("python", "-m"):
        raise SystemExit(
            f"error: dvc.yaml: expected commands that begin with python -m, found {command!r}."
        )
    result = folder / "taken.json"
    environment = {name: value for name, value in os.environ.items() if name != "DVC_ROOT"}
    environment["PYTHONPATH"] = str(ROOT)
    call = [sys.executable, "-m", "benchmarks.growth", "--measure", str(result), module, *arguments]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: {module}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return dict(json.loads(result.read_text()))


def measured(factors: dict[str, list[int]]) -> Measured:
    """Run all stages for all axes and factors."""
    found: Measured = {axis: {} for axis in AXES}
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / f"data-{factors['data'][0]}"  # has what the SAE's stages read
        asked = [(axis, factor) for axis in AXES for factor in factors[axis]]
        for axis, factor in asked:
            folder, params = (
                Path(scratch) / f"{axis}-{factor}".replace(" ", "-"),
                settings(axis, factor),
            )
            stages = {step.name.partition("@")[0]: step.cmd for step in steps(params)}
            names = list(stages)
            if axis == "SAE width":
                shutil.copytree(base, folder)
                names = names[names.index(FIRST_WITH_SAE) :]
            folder.mkdir(exist_ok=True)
            files.write_text(folder / "params.yaml", yaml.safe_dump(params, sort_keys=False))
            for name in names:
                taken = run_stage(stages[name], folder) | {"factor": float(factor)}
                found[axis].setdefault(name, []).append(taken)
                cost = f"{taken['seconds']:.1f} s, {taken['megabytes']:.0f} MB"
                print(f"{axis} x{factor} {name}: {cost}", flush=True)
            if folder != base:
                shutil.rmtree(folder)
    return found


def amounts(points: list[dict[str, float]], what: str) -> list[float]:
    """Seconds or megabytes, none too small for a logarithm to mean something."""
    return [max(point[what], LEAST[what]) for point in points]


def exponent(points: list[dict[str, float]], what: str) -> float:
    """The slope of the line through the last two points."""
    import numpy as np

    factors = [point["factor"] for point in points]
    return float(np.polyfit(np.log(factors[-2:]), np.log(amounts(points, what)[-2:]), 1)[0])


def draw(found: Measured, path: Path) -> None:
    """Two rows (time, memory) and a column for each axis."""
    import matplotlib.pyplot as plt
    import seaborn as sns
    from matplotlib.ticker import FuncFormatter, LogLocator

    plain = {"axes.spines.right": False, "axes.spines.top": False, "legend.frameon": False}
    sns.set_theme(style="ticks", rc=plain | {"legend.fontsize": 8, "legend.title_fontsize": 8})
    stages = list(found["data"])
    markers = itertools.product("osD^", sns.color_palette("colorblind", 5))
    looks = dict(zip(stages, markers, strict=False))
    figure, axes = plt.subplots(2, len(AXES), figsize=(16, 11), layout="constrained")
    rows = (("seconds", "processor time (s)"), ("megabytes", "peak memory beyond imports (MB)"))
    for (what, y_label), row in zip(rows, axes, strict=True):
        for axis, panel in zip(AXES, row, strict=True):
            factors: list[float] = []
            for stage, points in found[axis].items():
                factors = [point["factor"] for point in points]
                marker, color = looks[stage]
                label = f"{stage}  {exponent(points, what):.2f}"
                panel.plot(factors, amounts(points, what), marker, ls="-", color=color, label=label)
            top = max(point[what] for points in found[axis].values() for point in points)
            linear = [1.3 * top * factor / factors[-1] for factor in factors]
            panel.plot(factors, linear, color="0.6", ls="--", label="linear  1.00")
            x_label = f"{axis} (multiples of scale tiny)"
            panel.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
            panel.set_xticks(factors, [f"{f:.0f}" for f in factors], minor=False)
            panel.minorticks_off()
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            panel.legend(title="stage  exponent", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=200, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Measure, write, draw."""
    given = [int(text) for text in sys.argv[1:]]
    if len(given) == 1:
        sys.exit("error: expected at least two factors.")
    factors = dict.fromkeys(AXES, given or FACTORS)
    if not given:
        factors["data"] = FACTORS + MORE_DATA
    found = measured(factors)
    from benchmarks import machine  # imports torch, which a child would inherit as memory held

    files.write_json(HERE / "growth.json", {"processor": machine.kind(), "measured": found})
    draw(found, HERE / "growth.png")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[3], sys.argv[4:], Path(sys.argv[2]).absolute())
    else:
        main()
