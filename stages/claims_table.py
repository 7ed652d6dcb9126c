"""Print the claims that the pipeline wrote last as a table: ``python -m stages.claims_table``."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from stages.command import command

COLOURS = {
    "supported": "green",
    "refuted": "red",
    "not beyond the control": "magenta",
    "depends": "cyan",
    "undecided": "yellow",
    "unmeasured": "bright_black",
}


def main() -> None:
    """Print claims.json of the folder that params.yaml names in ``results``, and where metrics and
    figures are."""
    console, results = (
        Console(),
        Path(str(read_yaml(Path("params.yaml")).get("results", "metrics"))),
    )
    claims = files.read_json(
        results / "claims.json", "the claims that the pipeline writes; run it first"
    )
    if not isinstance(claims, dict) or set(claims) != {"runs", "encodings", "comparison"}:
        raise BadInput(
            f"{results / 'claims.json'}: expected claims of runs, encodings and their comparison; "
            "run the pipeline again."
        )
    for title, some in [
        *claims["runs"].items(),
        *_of_several_seeds(claims["encodings"]),
        ("comparison", claims["comparison"]),
    ]:
        table = Table(
            "claim",
            "value",
            "95 % interval",
            "control",
            "difference",
            "p",
            "verdict",
            title=title,
            title_justify="left",
        )
        for id, one in some.items():
            verdict = f"[{COLOURS[one['verdict']]}]{one['verdict']}[/]"
            if one["verdict"] == "unmeasured":
                table.add_row(f"{id} {one['statement']}", "", "", one["reason"], "", "", verdict)
                continue
            table.add_row(
                f"{id} {one['statement']}",
                f"{one['value']:.2f}",
                _ends(one),
                f"{one['control']:.2f} {one['control_name']} {_ends(one, 'control_')}",
                f"{one['gap']:.2f}, {_ends(one, 'gap_')}",
                f"{one['p']:.2g}",
                verdict,
            )
        console.print(table)
    console.print(
        f"Claims, with what each value measures: {results}/claims.json\nMetrics: "
        f"{results}/summary.json\nPictures: {results}/figures/\nAll on one page: {results}/"
        "report.html"
    )


def _ends(one: dict[str, Any], of: str = "") -> str:
    """The ends of an interval of a claim; nothing for a level without sampling error."""
    low, high = one[f"{of}low"], one[f"{of}high"]
    return f"{low:.2f} to {high:.2f}" if low < high else ""


def _of_several_seeds(encodings: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The claims of encodings pooled over seeds, where there is more than one seed."""
    return [
        (f"{name}, all seeds", some)
        for name, some in encodings.items()
        if any(one["n_seeds"] > 1 for one in some.values())
    ]


if __name__ == "__main__":
    command(main)()
