"""What the commands of all stages share: common arguments, and for BadInput one sentence and a
non-zero exit code.
"""

import gc
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mazewm.io import program
from mazewm.io.errors import BadInput
from mazewm.io.params import check_sections, read_yaml
from mazewm.io.progress import GARBAGE_WHILE_IMPORTING
from stages.imports import PACKAGES, ROOT, digests

RunName = Annotated[str, typer.Argument(help="ENCODING-OBJECTIVE-SEED, such as rotary-all-0.")]
Seed = Annotated[int, typer.Option(min=0, max=10**9 - 1)]  # those that a run's name can have
Folder = Annotated[Path, typer.Option()]


CODE = Path("artifacts/code")  # where stage digest_code writes the digests for each command


def check_code(file: Path) -> None:
    """BadInput if the code that a stage imports differs from its digests, on which DVC depends: a
    file was changed after stage digest_code, while earlier stages ran. ``file`` is the stage's own
    file."""
    known = CODE / f"{file.stem}.txt"
    if "DVC_STAGE" not in os.environ or not known.exists() or file.stem == "digest_code":
        return
    written = known.stat().st_mtime_ns
    sources = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    if all(path.stat().st_mtime_ns <= written for path in sources):
        return
    now = digests(file.relative_to(ROOT)).splitlines()
    changed = {line.split()[0] for line in set(now) ^ set(known.read_text().splitlines())}
    if changed:
        raise BadInput(
            f"{known}: expected the code as it was when this file was written, found "
            f"{', '.join(sorted(changed))} changed since; dvc repro begins again with the code as "
            "it is."
        )


def check_names(params: Path = Path("params.yaml"), pipeline: Path = Path("dvc.yaml")) -> None:
    """BadInput if ``params`` has a name that nothing reads, so that DVC would not see a change of
    its value: a section in one of its two parts only, or a key that ``pipeline`` does not use."""
    if not params.exists():
        return
    content = read_yaml(params)
    check_sections(content, params)
    if not pipeline.exists():
        return
    text = pipeline.read_text()
    used = {*re.findall(r"\$\{(\w+)", text), "scales"}
    for name, value in content.items():
        if not isinstance(value, dict) and name not in used:
            raise BadInput(
                f"{params}: {name}: unknown key; expected a section, or one of "
                f"{sorted(used & set(content) - {'scales'})}."
            )


def command(main: Callable[..., None]) -> Callable[[], None]:
    """``main`` as a command-line program that reports its progress. BadInput is printed as one
    sentence and ends it with exit code 1."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)

    def checked() -> None:
        check_code(Path(main.__code__.co_filename))
        check_names()
        app()

    def begin() -> None:
        gc.set_threshold(GARBAGE_WHILE_IMPORTING)
        program.run(checked)

    return begin
