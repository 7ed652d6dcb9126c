"""The families of claims, as docs/claims.md has them: the claims of each in their order, with the
tables by which a claim is decided and the picture that shows it.
"""

from typing import NamedTuple

from mazewm.planning.errors import INPUTS
from mazewm.results import TABLES

# The stage that writes each folder of artifacts/ in which a run has tables.
STAGES = {
    "behaviour": "measure_behaviour",
    "locations": "cache_activations",
    "saes": "train_sae",
    "features": "map_features",
    "circuits": "trace_circuits",
    "interventions": "run_interventions",
    "planning": "probe_planning",
}
WITH_INPUTS = ("probes", "whole")  # tables that readers of the maze alone have, too
# They stand for the name of a run, and for its seed, in commands and paths.
RUN, SEED = "RUN", "SEED"


class Evidence(NamedTuple):
    """What a claim rests on: a picture of figures/comparison/, without the suffix (none: runs are
    not put side by side), tables of ``mazewm.results``, and files of curves/ for claims between
    runs."""

    picture: str
    tables: tuple[str, ...]
    curves: tuple[str, ...] = ()


class Family(NamedTuple):
    """Claims that are read together, by id, and pictures beside those of single claims."""

    title: str
    claims: dict[str, Evidence]
    beside: tuple[str, ...] = ()


class Source(NamedTuple):
    """A command of the pipeline, and the files that it writes."""

    command: str
    files: tuple[str, ...]


EDITS = ("ledger", "pairs")
FAMILIES = (
    Family(
        "W1: a world model in behaviour",
        {
            "W1a": Evidence("W1_world", ("answers",)),
            "W1b": Evidence("W1_world", ("beliefs",)),
            "W1c": Evidence("W1_world", ("answers",)),
        },
        ("W1_robustness",),
    ),
    Family(
        "C1: single latents encode single connections",
        {"C1": Evidence("C1_readouts", ("singles",))},
    ),
    Family(
        "C2: how a connection is put together, and where it goes",
        {
            "C2": Evidence("C2_binding", ("binding",)),
            "C2b": Evidence("C2_path", ("edges", "circuit")),
            "C2c": Evidence("C2_frame", ("whole",)),
            "C2d": Evidence("C2_frame", ("frame",)),
        },
        ("C2_own_mass",),
    ),
    Family(
        "C3: circuit and SAE agree",
        {
            "C3a": Evidence("", ("ov_consistency",)),
            "C3b": Evidence("C3_knock_outs", ("knockouts",)),
            "C3c": Evidence("C3_readers", ("readers",)),
            "C3d": Evidence("C3_predictions", ("predictions",)),
        },
    ),
    Family(
        "C4, C9: connections are causal",
        {
            **{id: Evidence("C4_edits", EDITS) for id in ("C4a", "C4b", "C4c", "C4d")},
            "C4e": Evidence("C5_asymmetry", EDITS),  # it has the lengths of pushes
            "C9": Evidence("C4_edits", EDITS),
        },
    ),
    Family(
        "C5: adding beside removing",
        {id: Evidence("C5_asymmetry", EDITS) for id in ("C5", "C5c", "C5d")},
    ),
    Family(
        "C6: more connections than in training",
        {id: Evidence("C6_capacity", EDITS) for id in ("C6a", "C6b", "C6c")},
    ),
    Family(
        "C7, C10: what encodings and objectives change",
        {
            "C7a": Evidence("C7_code", ("binding",), ("code",)),
            "C7b": Evidence("C7_code", ("writing",), ("code",)),
            "C7c": Evidence("C7_code", ("positions", "carried", "directions"), ("code",)),
            "C7d": Evidence("C7_code", ("heads",), ("code",)),
            "C7e": Evidence("C7_code", ("features",), ("code",)),
            "C7f": Evidence("C7_geometry", ("directions",), ("similarities",)),
            "C10": Evidence("C10_objectives", ("binding",), ("code",)),
        },
    ),
    Family(
        "C8: facts that no token states",
        {
            **{id: Evidence("C8abc_probes", ("probes",)) for id in ("C8a", "C8b", "C8c")},
            "C8d": Evidence("C8d_steering", ("steering",)),
        },
        ("C8_steps",),
    ),
)


def base(id: str) -> str:
    """The id without the objective that C7 has where there are several.

    >>> base("C7a path"), base("W1a")
    ('C7a', 'W1a')
    """
    return id.partition(" ")[0]


def sources(evidence: Evidence, results: str, by: str) -> list[Source]:
    """The commands that measured a claim and decided it, in their order, with their files; RUN
    stands for every run, SEED for its seed. ``results`` is the folder of metrics, ``by`` the stage
    that compares the runs in it.

    >>> measured, decided = sources(Evidence("C1_readouts", ("singles",)), "metrics", "compare")
    >>> measured.command, measured.files
    ('python -m stages.map_features RUN', ('artifacts/features/RUN/singles.parquet',))
    >>> decided.files
    ('metrics/tables/RUN/claims.json',)
    """
    by_folder: dict[str, list[str]] = {}
    for name in evidence.tables:
        by_folder.setdefault(TABLES[name][0], []).append(name)
    with_inputs = [name for name in evidence.tables if name in WITH_INPUTS]
    told = tuple(f"artifacts/{INPUTS}/{SEED}/{name}.parquet" for name in with_inputs)
    found = [Source(f"python -m stages.probe_inputs --seed {SEED}", told)] if told else []
    found += [
        Source(
            f"python -m stages.{STAGES[folder]} {RUN}",
            tuple(f"artifacts/{folder}/{RUN}/{name}.parquet" for name in names),
        )
        for folder, names in by_folder.items()
    ]
    score = f"python -m stages.score {RUN} --results {results}"
    if not evidence.curves:
        return [*found, Source(score, (f"{results}/tables/{RUN}/claims.json",))]
    curves = tuple(f"{results}/curves/{name}.csv" for name in evidence.curves)
    return [
        *found,
        Source(score, (f"{results}/runs/{RUN}.json",)),
        Source(compare(results, by), (*curves, f"{results}/claims.json")),
    ]


def compare(results: str, by: str) -> str:
    """The command that draws pictures of all runs, decides claims between them, and writes the
    page."""
    return f"python -m stages.{by} --results {results}"
