"""Stage digest_code: the project's code -> for every command, one file that says which modules it
imports and what they say.

Other stages depend on their own file and on nothing else of the code: a comment or docstring that
is changed reruns none of them, a changed line those that import it, and the difference between two
files says which module it was.
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
