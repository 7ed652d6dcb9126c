"""Stage digest_code: the project's code -> for every command, a file that lists the modules that it
imports, each with a digest of its code.

Every other stage depends on its own such file, and not on the code itself. So a changed comment or
docstring reruns no stage, a changed line of code reruns the stages that import it, and the
difference between two versions of a file names the module that changed.
"""

from mazewm.io import files
from stages.command import CODE, command
from stages.imports import ROOT, digests


def main() -> None:
    """Write ``artifacts/code/NAME.txt`` for every ``stages/NAME.py``."""
    with files.replacing(CODE) as folder:
        for path in sorted((ROOT / "stages").glob("[a-z]*.py")):
            files.write_text(folder / f"{path.stem}.txt", digests(path.relative_to(ROOT)))


if __name__ == "__main__":
    command(main)()
