"""The pipeline as a shell script, for machines without DVC: ``python -m stages.plain_script --set
scale=paper > run.sh``.

DVC resolves the commands of dvc.yaml. The script runs them in order in its own folder, with its own
params.yaml. It skips stages whose outs exist, since stages write their outs completely or not at
all. It cannot tell whether outs are out of date, so it refuses a folder with other parameters.
"""

import io
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import typer
from ruamel.yaml import YAML

from mazewm.io.errors import BadInput, told
from mazewm.io.params import parse_yaml, read_yaml
from stages.command import command
from stages.imports import ROOT

Settings = Annotated[
    list[str],
    typer.Option(
        "--set",
        default_factory=list,
        help="KEY=VALUE of params.yaml, as in dvc exp run -S; may be given several times.",
    ),
]
HEAD = """\
#!/bin/sh
# Made by python -m stages.plain_script. PYTHON=... names another interpreter, PYTHONPATH the folder
# of the code.
set -e
cd "$(dirname "$0")"
params=$(mktemp)
trap 'rm -f "$params"' EXIT
cat > "$params" <<'END'
{params}END
if [ -e params.yaml ] && ! cmp -s "$params" params.yaml; then
    found="found others; use another folder."
    echo "error: params.yaml: expected the parameters of this script, $found" >&2; exit 1
fi
cp "$params" params.yaml
"""
STEP = """
if {done}; then echo "{name}: is there"; else echo "{name}:"; {cmd}; fi
"""


class Step(NamedTuple):
    """One stage of dvc.yaml for one run, with all parameters resolved."""

    name: str
    cmd: str
    outs: list[str]


def main(settings: Settings) -> None:
    """Print the pipeline as a shell script."""
    params = with_settings(read_yaml(ROOT / "params.yaml"), settings)
    typer.echo(script(steps(params), params), nl=False)


def with_settings(params: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """The parameters with some values replaced; BadInput for a key that does not exist."""
    for setting in settings:
        key, is_given, value = setting.partition("=")
        *way, last = key.split(".")
        inner: Any = params
        for name in way:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if not is_given or not isinstance(inner, dict) or last not in inner:
            raise BadInput(f"--set {setting}: expected KEY=VALUE with a key of params.yaml.")
        try:
            inner[last] = parse_yaml(value)
        except ValueError as error:
            raise BadInput(f"--set {setting}: not valid YAML ({error}).") from None
    return params


def as_yaml(params: dict[str, Any]) -> str:
    """The parameters as a YAML text, each mapping and list in lines of its own."""
    YAML().dump(params, text := io.StringIO())
    return text.getvalue()


def steps(params: dict[str, Any]) -> list[Step]:
    """The stages of dvc.yaml as DVC resolves them with these parameters, each after those that it
    depends on."""
    seeds = params.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(isinstance(n, int) for n in seeds):
        raise BadInput(f"params.yaml: seeds: expected a list of numbers, found {told(seeds)}.")
    from dvc.repo import Repo
    from networkx import lexicographical_topological_sort

    with TemporaryDirectory() as folder:
        (Path(folder) / "params.yaml").write_text(as_yaml(params))
        (Path(folder) / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
        with Repo.init(folder, no_scm=True) as repo:
            stages = repo.index.stages
            written = {stage: nth for nth, stage in enumerate(stages)}
            order = lexicographical_topological_sort(
                repo.index.graph.reverse(), key=written.__getitem__
            )
            return [
                Step(stage.name, " ".join(stage.cmd.split()), [out.def_path for out in stage.outs])
                for stage in order
            ]


def script(todo: list[Step], params: dict[str, Any]) -> str:
    """A shell script that runs the steps whose outs do not exist."""
    text = HEAD.format(params=as_yaml(params))
    for step in todo:
        done = " && ".join(f"[ -e {shlex.quote(out)} ]" for out in step.outs)
        cmd = step.cmd.replace("python ", '"${PYTHON:-python}" ', 1)
        text += STEP.format(done=done, name=step.name, cmd=cmd)
    return text


if __name__ == "__main__":
    command(main)()
