"""Fill the templates of docs/templates/ with the results: ``python -m stages.fill_docs``.

No number that comes from a result is typed into README.md or docs/: templates name it, and it is
read from ``metrics/``. Running times, which no stage records, are in ``measured.yaml``, with their
dates. A sentence that interprets results states its condition (``require``); if new results do not
meet the condition, filling fails and quotes the sentence.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import jinja2
import pandas

from mazewm.claims.claim import LEVEL, NEAR
from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from mazewm.io.progress import console
from stages.command import command
from stages.dependencies import dependencies
from stages.imports import ROOT

TEMPLATES, TRUST = Path("docs/templates"), Path("trust/results")
SCALE = "laptop"  # the scale of the results in metrics/


@dataclass(frozen=True)
class Filled:
    """The results of one run in ``metrics/``, for use in templates."""

    name: str
    summary: dict[str, Any]
    metrics: dict[str, Any]
    claims: dict[str, dict[str, Any]]
    tables: Path  # the folder of the small tables

    @property
    def recipe(self) -> str:
        """The name without the seed."""
        return self.name.rpartition("-")[0]

    def corridors(self, k: int) -> dict[str, dict[str, Any]]:
        """The shares of ways that are walked through whole corridors of k connections, on the
        longest prompts, by method; latents at the most for each connection that were tried."""
        file = self.tables / "corridors.csv"
        if not file.exists():
            raise BadInput(f"{file}: the file is missing; expected what the pipeline writes.")
        rows = pandas.read_csv(file)
        rows = rows[(rows.k == k) & rows.is_long].sort_values("n_units")
        records = rows.rename(columns={"share": "value"}).to_dict(orient="records")
        return {one["method"]: {str(name): x for name, x in one.items()} for one in records}

    @property
    def spliced(self) -> dict[str, Any]:
        """The effects of splicing in the SAE at the writing site."""
        place = self.summary["writing"].partition(" ")[0].replace(".", "_")
        found: dict[str, Any] = self.metrics["sae"][place]["spliced"]
        return found


def percent(value: float) -> str:
    """A share in percent: 0.98425 -> "98.4 %"."""
    return f"{round(100 * value, 1) + 0.0:.1f} %"  # never -0.0


def interval(one: dict[str, Any]) -> str:
    """A share with its interval: "98.4 % [98.0, 98.8]"."""
    return f"{percent(one['value'])} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]"


def words(name: str) -> str:
    """A name from the tables with spaces: "mean_difference" -> "mean difference"."""
    return name.replace("_", " ")


def require(is_so: bool, sentence: str) -> str:
    """An empty text if the condition of a sentence holds; otherwise BadInput that quotes it."""
    if not is_so:
        raise BadInput(
            f"{TEMPLATES}: the results no longer carry the sentence “{sentence}”; expected it to "
            "be rewritten."
        )
    return ""


def tally(runs: Sequence[Filled], claim: str) -> dict[str, Any]:
    """What several runs say of one claim: how many give each verdict, and the median, least and
    most value and the median control of those in which it was measured."""
    found = [run.claims[claim] for run in runs]
    measured = [one for one in found if one["verdict"] != "unmeasured"]
    values = [one["value"] for one in measured]
    return {
        "verdicts": dict(Counter(one["verdict"] for one in found).most_common()),
        "values": values,
        "median": median(values) if values else None,
        "least": min(values, default=None),
        "most": max(values, default=None),
        "control": median(one["control"] for one in measured) if measured else None,
        "controls": [
            name for name, _ in Counter(one["control_name"] for one in measured).most_common()
        ],
    }


def connections(family: dict[str, Any]) -> tuple[int, int]:
    """The fewest and the most connections of a family of mazes: one less than its cells for a tree,
    and one more than that with a loop."""
    more = 0 if family["generator"] == "loop" else -1
    return family["min_cells"] + more, family["max_cells"] + more


def results(folder: Path) -> dict[str, Any]:
    """The results that the pipeline wrote to ``folder``, by the names that templates use; BadInput
    if there are none."""
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
            folder / "tables" / name,
        )
        for name, one in summary.items()
    ]
    recipes = [run.recipe for run in runs]
    return {
        "runs": runs,
        "recipes": claims["encodings"],
        "comparison": claims["comparison"],
        "n_seeds": min(recipes.count(recipe) for recipe in recipes),
    }


def further(folder: Path) -> dict[str, Any]:
    """The results of a run outside the study, with its parameters."""
    return results(folder) | {"params": read_yaml(folder / "params.yaml")}


def templates(folder: Path) -> jinja2.Environment:
    """The templates of a folder, with the filters above. A name that nothing gives is an error."""
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
        "connections": connections,
    }
    return environment


def filled(root: Path = ROOT, metrics: Path = ROOT / "metrics") -> dict[Path, str]:
    """The text of every document, by its path below ``root``; BadInput if a template is wrong or if
    a condition fails."""
    folder = root / TEMPLATES
    output = folder / "ten_lines.txt"  # the output of ten_lines.py
    params = read_yaml(root / "params.yaml")
    scale = params["scales"][SCALE]
    trained = [connections(family) for family in scale["mazes"]["families"].values()]
    names = results(metrics) | {
        # the same with later positions trained (docs/science.md#position-jitter), and of a model
        # with fewer dimensions than there are connections
        **{name: further(metrics / name) for name in ("position_jitter", "narrow")},
        # the paper's world and a larger one, where they have been tried
        **{
            name: further(metrics / name) if (metrics / name).exists() else {"recipes": {}}
            for name in ("trees", "desk")
        },
        # what the claims are judged by: the study of many runs, or where there is none these
        "evidence": further(metrics / "study")
        if (metrics / "study").exists()
        else results(metrics) | {"params": params},
        "tally": tally,
        "level": LEVEL,
        "near": NEAR,
        "measured": read_yaml(folder / "measured.yaml"),
        "params": params,
        "stages": list(read_yaml(root / "dvc.yaml")["stages"]),
        "scale": {"name": SCALE} | scale,
        "trained_on": {
            "low": min(low for low, _ in trained),
            "high": max(high for _, high in trained),
        },
        "n_overload_connections": connections(scale["mazes"]["overload"])[1],
        # what `make torture` found
        "trust": {path.stem: read_yaml(path) for path in sorted((root / TRUST).glob("*.yaml"))},
        "paper_scale": (folder / "paper_scale.txt")
        .read_text()
        .rstrip(),  # the output of benchmarks/paper_scale.py
        "dependencies": dependencies(root),
        "transcripts": {  # the output of stages/transcripts.py
            path.stem: path.read_text() for path in (folder / "transcripts").glob("*.txt")
        },
        "ten_lines_output": output.read_text().strip() if output.exists() else "",
        "require": require,
    }
    environment = templates(folder)
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
    """Write README.md and the documents of docs/ from their templates."""
    for path, text in filled().items():
        files.write_text(ROOT / path, text)
        console.print(f"{path} is written", highlight=False)


if __name__ == "__main__":
    command(main)()
