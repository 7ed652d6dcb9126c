"""Stage observe_training: snapshots of a transformer -> when connections become readable in it; the
trained transformer -> its behaviour.
"""

from mazewm.io import files, tables
from mazewm.io.errors import BadInput
from mazewm.io.params import load
from mazewm.io.progress import progress
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Probe every snapshot on validation mazes, and measure the behaviour of the trained
    transformer on test and overload mazes."""
    import pandas as pd
    import torch

    from mazewm.inference import BehaviourRow, Subject, measure_behaviour
    from mazewm.localize import formation
    from mazewm.model import TrainingParams, Transformer

    one, params = Run.named(run), load(TrainingParams, "training")
    torch.set_num_threads(params.n_threads)
    snapshots = sorted((one.folder("models") / "snapshots").glob("*.safetensors"))
    if not snapshots:
        raise BadInput(
            f"{one.folder('models')}/snapshots: expected a file for each look at the growing "
            "transformer, found none."
        )
    observed = one.mazes("validation")[: params.n_observed_mazes]
    looks = progress("growing transformers", len(snapshots), share=0.7)
    formed = []
    for path in snapshots:
        rows = formation(Subject(Transformer.load(path), observed, one.seed, params.batch_size))
        formed += [vars(row) | {"step": int(path.stem)} for row in rows]
        looks.advance()
    progress("measuring behaviour", 1)
    trained = Transformer.load(one.weights)
    rows = []
    for split in ("test", "overload"):
        held_out = Subject(trained, one.mazes(split), one.seed, params.batch_size)
        rows += measure_behaviour(held_out, split)
    with files.replacing(one.folder("observations")) as folder:
        pd.DataFrame(formed).to_csv(folder / "formation.csv", index=False)
        tables.write_rows(folder / "behaviour.parquet", BehaviourRow, rows)


if __name__ == "__main__":
    command(main)()
