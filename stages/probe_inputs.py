"""Stage probe_inputs: mazes -> what linear readers of the maze alone tell of the facts that
probe_planning looks for in a model.
"""

from mazewm.io import files
from mazewm.io.params import load
from stages.command import command


def main() -> None:
    """Fit the readers on training mazes, and score them on validation and test mazes."""
    import torch

    from mazewm.planning import PlanningParams, read_inputs
    from mazewm.planning.errors import INPUTS, ProbeRow, write_rows
    from mazewm.run import ARTIFACTS

    params = load(PlanningParams, "planning")
    torch.set_num_threads(params.n_threads)
    rows = read_inputs(ARTIFACTS, params)
    with files.replacing(ARTIFACTS / INPUTS) as folder:
        write_rows(folder / "probes.parquet", ProbeRow, rows)


if __name__ == "__main__":
    command(main)()
