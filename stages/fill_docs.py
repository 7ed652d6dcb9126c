"""Fill the templates of docs/templates/ with the results: ``python -m stages.fill_docs``.

No number that comes from a result is typed into README.md or docs/: a template asks for it, and it
is read from ``metrics/``. Of how long things take, which no stage writes down, ``measured.yaml``
keeps dated records. A sentence that says more than a number does names what it rests on
(``require``), and is refused when new results no longer carry it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from mazewm.io.progress import console
from stages.command import command
from stages.imports import ROOT

TEMPLATES = Path("docs/templates")
SCALE = "laptop"  # of the results in metrics/


@dataclass(frozen=True)
class Filled:
    """One run of ``metrics/``, as templates see it."""

    name: str
    summary: dict[str, Any]
    metrics: dict[str, Any]
    claims: dict[str, dict[str, Any]]

    @property
    def apart(self) -> bool:
        """Whether connections are read at one location and written at another."""
        return bool(self.summary["consolidation"] != self.summary["writing"])

    @property
    def spliced(self) -> dict[str, Any]:
        """What the SAE at the writing site costs when it is spliced in."""
        place = self.summary["writing"].partition(" ")[0].replace(".", "_")
        found: dict[str, Any] = self.metrics["sae"][place]["spliced"]
        return found


def percent(value: float) -> str:
    """0.98425 -> "98.4 %"."""
    return f"{100 * value:.1f} %"


def interval(one: dict[str, Any]) -> str:
    """A share with its interval: "98.4 % [98.0, 98.8]"."""
    return f"{percent(one['value'])} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"


def words(name: str) -> str:
    """A name of the tables as words."""
    return name.replace("_", " ")


def place(location: str) -> str:
    """A location of the tables in words: "0.resid_post at c2" -> "`c2` after block 0"."""
    at, _, token_class = location.partition(" at ")
    return f"`{token_class}` after block {at.partition('.')[0]}"


def require(is_so: bool, sentence: str) -> str:
    """Nothing, where what a sentence says is so; BadInput that quotes it, where it is not."""
    if not is_so:
        raise BadInput(
            f"{TEMPLATES}: the results no longer carry the sentence “{sentence}”; expected it to "
            "be rewritten."
        )
    return ""


def connections(family: dict[str, Any]) -> tuple[int, int]:
    """The fewest and the most connections of a family of mazes: a tree's cells less one, and one
    more where there is a loop."""
    more = 0 if family["generator"] == "loop" else -1
    return family["min_cells"] + more, family["max_cells"] + more


def results(folder: Path) -> dict[str, Any]:
    """What the pipeline wrote to ``folder``, by the names that templates use."""
    summary = files.read_json(
        folder / "summary.json", "the summary that the pipeline writes; run it first"
    )
    claims = files.read_json(
        folder / "claims.json", "the claims that the pipeline writes; run it first"
    )
    runs = [
        Filled(
            name,
            one,
            files.read_json(folder / "runs" / f"{name}.json", "the metrics of a run"),
            claims["runs"][name],
        )
        for name, one in summary.items()
    ]
    recipes = [run.name.rpartition("-")[0] for run in runs]
    return {
        "runs": runs,
        "recipes": claims["encodings"],
        "comparison": claims["comparison"],
        "n_seeds": min(recipes.count(recipe) for recipe in recipes),
    }


def filled(root: Path = ROOT, metrics: Path = ROOT / "metrics") -> dict[Path, str]:
    """What every document must say, by its path below ``root``."""
    folder = root / TEMPLATES
    output = folder / "ten_lines.txt"  # what ten_lines.py prints
    params = read_yaml(root / "params.yaml")
    scale = params["scales"][SCALE]
    trained = [connections(family) for family in scale["mazes"]["families"].values()]
    names = results(metrics) | {
        "measured": read_yaml(folder / "measured.yaml"),
        "params": params,
        "stages": list(read_yaml(root / "dvc.yaml")["stages"]),
        "scale": {"name": SCALE} | scale,
        "trained_on": {
            "low": min(low for low, _ in trained),
            "high": max(high for _, high in trained),
        },
        "n_overload_connections": connections(scale["mazes"]["overload"])[1],
        "paper_scale": (folder / "paper_scale.txt")
        .read_text()
        .rstrip(),  # what benchmarks/paper_scale.py prints
        "ten_lines_output": output.read_text().strip() if output.exists() else "",
        "require": require,
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {
        "percent": percent,
        "interval": interval,
        "words": words,
        "place": place,
    }
    made = {}
    for template in sorted(folder.glob("*.md.j2")):
        name = template.name.removesuffix(".j2")
        try:
            made[Path(name) if name == "README.md" else Path("docs") / name] = (
                environment.get_template(template.name).render(names)
            )
        except jinja2.TemplateError as error:
            raise BadInput(f"{TEMPLATES / template.name}: {error}.") from None
    return made


def main() -> None:
    """Write README.md and every document of docs/ that has a template."""
    for path, text in filled().items():
        files.write_text(ROOT / path, text)
        console.print(f"{path} is written", highlight=False)


if __name__ == "__main__":
    command(main)()
