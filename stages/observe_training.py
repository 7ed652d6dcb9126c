"""Stage observe_training: snapshots of a transformer -> when connections become readable in it."""

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import load
from mazewm.io.progress import progress
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Probe every snapshot on validation mazes."""
    import pandas as pd
    import torch

    from mazewm.inference import Subject
    from mazewm.localize import formation
    from mazewm.model import TrainingParams, Transformer

    one, params = Run.named(run), load(TrainingParams, "training")
    torch.set_num_threads(params.n_threads)
    snapshots = sorted(one.folder("snapshots").glob("[0-9]*.safetensors"))
    if not snapshots:
        raise BadInput(
            f"{one.folder('snapshots')}: expected a file for each look at the growing "
            "transformer, found none."
        )
    observed = one.mazes("validation")[: params.n_observed_mazes]
    looks = progress("growing transformers", len(snapshots))
    formed = []
    for path in snapshots:
        rows = formation(Subject(Transformer.load(path), observed, one.seed, params.batch_size))
        formed += [vars(row) | {"step": int(path.stem)} for row in rows]
        looks.advance()
    with files.replacing(one.folder("observations")) as folder:
        pd.DataFrame(formed).to_csv(folder / "formation.csv", index=False)


if __name__ == "__main__":
    command(main)()
