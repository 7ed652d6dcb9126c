"""Stage compare: the metrics of all configured runs -> summary, claims, curves and pictures by encoding."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mazewm import outputs
from mazewm.errors import BadInput
from mazewm.params import Params, check, read_yaml
from stages.command import Location, command, console, progress


class RunsParams(Params):
    """Which runs there are."""

    encodings: Annotated[list[str], Field(min_length=1)]
    seeds: Annotated[list[int], Field(min_length=1)]


def main(runs: Location, tables_in: Location, summary: Location, claims: Location, curves: Location, figures: Location) -> None:
    """Compare the runs that params.yaml lists; others that lie in the folders are left alone."""
    from mazewm.figures.comparison import draw_comparison
    from mazewm.scores.comparison import compare

    content = read_yaml(Path("params.yaml"))
    wanted = check(RunsParams, {name: content[name] for name in ("encodings", "seeds") if name in content}, "params.yaml")
    keys = [(encoding, seed) for encoding in wanted.encodings for seed in wanted.seeds]
    for encoding, seed in keys:
        if not (runs / f"{encoding}-{seed}.json").exists():
            raise BadInput(
                f"{runs / f'{encoding}-{seed}.json'}: the file is missing; expected the metrics of every encoding and seed in params.yaml."
            )
    progress("comparing runs", 1, share=0.6)
    compared = compare(keys, runs, tables_in)
    with outputs.replacing(curves) as folder:
        for name, frame in compared.curves.items():
            frame.to_csv(folder / f"{name}.csv", index=False)
    progress("pictures", 1)
    with outputs.replacing(figures) as folder:
        draw_comparison(folder, compared)
    outputs.write_json(claims, compared.claims)
    outputs.write_json(summary, compared.summary)
    console.print(f"{len(keys)} runs compared; pictures are in {figures.parent}")


if __name__ == "__main__":
    command(main)()
