"""Print the claims of the last run of the pipeline as a table: ``python -m stages.claims_table``."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from mazewm import outputs
from stages.command import command

CLAIMS, FIGURES = Path("metrics/claims.json"), Path("metrics/figures")
COLOURS = {"supported": "green", "refuted": "red", "undecided": "yellow"}


def main() -> None:
    """Show metrics/claims.json and say where the pictures are."""
    console = Console()
    for run, some in outputs.read_json(CLAIMS, "the claims that the pipeline writes; run it first").items():
        table = Table("claim", "value", "95 % interval", "control", "verdict", title=run, title_justify="left")
        for id, one in some.items():
            verdict = f"[{COLOURS[one['verdict']]}]{one['verdict']}[/]"
            interval = f"{one['low']:.2f} {one['high']:.2f}" if one["n"] else "none"
            table.add_row(
                f"{id} {one['statement']}", f"{one['value']:.2f}", interval, f"{one['control']:.2f} {one['control_name']}", verdict
            )
        console.print(table)
    console.print(f"Claims, with what each value measures: {CLAIMS}\nMetrics: metrics/summary.json\nPictures: {FIGURES}/")


if __name__ == "__main__":
    command(main)()
