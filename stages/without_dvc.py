"""Run the pipeline of dvc.yaml where DVC is not: ``python -m stages.without_dvc --folder artifacts/paper --set scale=paper``.

dvc.yaml stays the one source of stages. They run in its order, in a folder with a params.yaml and artifacts of its own. After a
stage a stamp is left in ``.stamps``: its command, the parameters that it lists, its code, and the stamps of the stages whose outs it
reads. A stage whose outs and equal stamp are there is not run again, so a call that was stopped goes on where it was.
"""

import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from mazewm import outputs
from mazewm.errors import BadInput
from mazewm.params import read_yaml
from stages.command import Location, command, console

SMALL = 500 * 2**20  # bytes; a larger out, such as a cache of activations at scale paper, is not brought back
Settings = Annotated[
    list[str],
    typer.Option("--set", default_factory=list, help="KEY=VALUE of params.yaml, as in dvc exp run -S; may be given several times."),
]
BringBack = Annotated[Path | None, typer.Option(help="Where to copy what each stage made, unless it is large.")]


@dataclass(frozen=True)
class Step:
    """One stage of dvc.yaml for one value of its matrix, with everything filled in."""

    name: str
    cmd: str
    deps: list[str]
    params: list[str]
    outs: list[str]  # metrics among them


def main(folder: Location, settings: Settings, bring_back: BringBack = None) -> None:
    """Run what is not up to date; stop at the first stage that fails."""
    params = with_settings(read_yaml(Path("params.yaml")), settings)
    todo, code = steps(read_yaml(Path("dvc.yaml")), params), Path.cwd()
    stamps = stamps_of(todo, params, code)
    folder.mkdir(parents=True, exist_ok=True)
    outputs.write_text(folder / "params.yaml", yaml.safe_dump(params, sort_keys=False))
    # As an exception, so that the command that runs is ended, too.
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        for step in todo:
            bring_up_to_date(step, stamps[step.name], folder, code, bring_back)
    finally:
        signal.signal(signal.SIGTERM, before)


def bring_up_to_date(step: Step, stamp: Mapping[str, Any], folder: Path, code: Path, bring_back: Path | None) -> None:
    """Run a stage unless its outs are those of its stamp, and copy them to ``bring_back``."""
    kept = Path(".stamps") / f"{step.name}.json"
    if is_done(step, stamp, folder / kept, folder):
        console.print(f"{step.name}: up to date", highlight=False)
    else:
        (folder / kept).unlink(missing_ok=True)
        console.print(f"{step.name}: running", highlight=False)
        since = time.perf_counter()
        exit_code = run(step.cmd, folder, code)
        if exit_code:
            console.print(f"error: {step.name}: its command ended with exit code {exit_code}.", style="red", highlight=False)
            raise typer.Exit(exit_code)
        seconds = round(time.perf_counter() - since, 1)
        outputs.write_json(folder / kept, {"stamp": stamp, "seconds": seconds})
        console.print(f"{step.name}: {seconds} s", highlight=False)
    if bring_back is not None and not _same(folder / kept, bring_back / kept):
        for name in (*step.outs, str(kept)):
            copy_small(folder / name, bring_back / name)


def with_settings(params: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """params.yaml with values replaced; only keys that are there can be set."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        *way, last = key.split(".")
        inner: Any = params
        for part in way:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not equals or not isinstance(inner, dict) or last not in inner:
            raise BadInput(f"--set {setting}: expected KEY=VALUE with a key of params.yaml, found the key {key!r}.")
        try:
            inner[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise BadInput(f"--set {setting}: expected a value in YAML, found {text!r}.") from None
    return params


def steps(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> list[Step]:
    """The stages in the order of dvc.yaml, those with a matrix once for each of its values."""
    found = []
    for name, entry in (pipeline.get("stages") or {}).items():
        axes = {axis: filled(values, params) for axis, values in entry.get("matrix", {}).items()}
        for axis, values in axes.items():
            if not isinstance(values, list) or not values:
                raise BadInput(f"params.yaml: {name} runs once for each {axis}: expected a list that is not empty, found {values!r}.")
        for values in itertools.product(*axes.values()):
            key = "-".join(map(str, values))
            known = {**params, "item": dict(zip(axes, values, strict=True)), "key": key}
            outs = [path for kind in ("outs", "metrics") for path in _paths(entry.get(kind, []), known)]
            deps, wanted = _paths(entry.get("deps", []), known), _paths(entry.get("params", []), known)
            found.append(Step(f"{name}@{key}" if axes else name, filled(entry["cmd"], known), deps, wanted, outs))
    return found


def _paths(listed: list[Any], known: Mapping[str, Any]) -> list[str]:
    """The entries of a list in dvc.yaml, without the flags that some of them have."""
    return [str(filled(next(iter(item)) if isinstance(item, dict) else item, known)) for item in listed]


def filled(text: str, known: Mapping[str, Any]) -> Any:
    """``text`` with every ``${a.b}`` replaced; a list or a number where it is nothing else."""
    whole = re.fullmatch(r"\$\{([\w.]+)\}", text)
    return value_of(whole[1], known) if whole else re.sub(r"\$\{([\w.]+)\}", lambda match: str(value_of(match[1], known)), text)


def value_of(key: str, known: Mapping[str, Any]) -> Any:
    """The value at a dotted key."""
    value: Any = known
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise BadInput(f"params.yaml: {key}: the key is missing; dvc.yaml asks for it.")
        value = value[part]
    return value


def stamps_of(todo: list[Step], params: Mapping[str, Any], code: Path) -> dict[str, Any]:
    """By step, all that its outs depend on; a step whose outs it reads is named with the hash of that step's own stamp."""
    stamps: dict[str, Any] = {}
    for step in todo:
        inputs, files = {}, {}
        for dep in step.deps:
            makers = [other.name for other in todo if any(_overlap(dep, out) for out in other.outs)]
            late = [name for name in makers if name not in stamps]
            if late:
                raise BadInput(f"dvc.yaml: {step.name}: expected {late[0]}, which makes {dep}, to stand before it.")
            for name in makers:
                inputs[name] = hashlib.sha256(json.dumps(stamps[name], sort_keys=True).encode()).hexdigest()
            if not makers:
                files[dep] = outputs.file_hash(code / dep)
        known = {key: value_of(key, params) for key in step.params}
        stamps[step.name] = {"cmd": step.cmd, "params": known, "code": files, "inputs": inputs}
    return stamps


def _overlap(dep: str, out: str) -> bool:
    """Whether one path is the other, or inside it."""
    return dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")


def is_done(step: Step, stamp: Mapping[str, Any], kept: Path, folder: Path) -> bool:
    """Whether all outs are there and were made from what the stamp says."""
    if not kept.exists() or not all((folder / out).exists() for out in step.outs):
        return False
    try:
        content = json.loads(kept.read_text())
    except ValueError:
        return False
    return isinstance(content, dict) and content.get("stamp") == stamp


def run(cmd: str, folder: Path, code: Path) -> int:
    """A stage's command in ``folder``, with this Python and this code; its exit code."""
    first, *others = shlex.split(cmd)
    # A checkpoint's place follows DVC_ROOT, if there is one; here it must be the folder.
    environment = {name: value for name, value in os.environ.items() if name != "DVC_ROOT"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(code), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable if first == "python" else first, *others], cwd=folder, env=environment)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def copy_small(source: Path, target: Path) -> None:
    """Copy a file or a folder, whole or not at all, unless it is large."""
    size = _size(source)
    if size > SMALL:
        console.print(f"{source}: {size / 2**20:,.0f} MiB, too large to be brought back", highlight=False)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        with outputs.replacing(target) as beside:
            shutil.copytree(source, beside, dirs_exist_ok=True)
    else:
        part = target.with_name(target.name + ".part")
        shutil.copy2(source, part)
        os.replace(part, target)


def _same(one: Path, other: Path) -> bool:
    """Whether both files are there and are equal."""
    return other.exists() and one.read_bytes() == other.read_bytes()


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return path.stat().st_size if path.is_file() else sum(inner.stat().st_size for inner in path.rglob("*") if inner.is_file())


if __name__ == "__main__":
    command(main)()
