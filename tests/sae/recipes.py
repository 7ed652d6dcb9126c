"""A recipe for the small data of these tests."""

from planted import N_ACTIVE, N_ATOMS

from mazewm.sae.params import Point, SaeParams

POINT = Point(N_ATOMS, float(N_ACTIVE))


def recipe(**changes: object) -> SaeParams:
    """Keywords replace what they name."""
    values: dict[str, object] = {
        "activation": "topk",
        "widths": [N_ATOMS],
        "sparsities": [float(N_ACTIVE)],
        "prefixes": [0.25, 0.5, 1.0],
        "lr": 0.01,
        "other_lrs": [0.003, 0.01],
    }
    values |= {
        "aux_weight": 0.03125,
        "dead_share": 0.05,
        "n_penalties": 3,
        "n_sweep_samples": 1_000,
        "n_samples": 50_000,
        "n_control_samples": 10_000,
        "n_seeds": 2,
        "n_frozen": 1,
        "n_frozen_samples": 1_000,
    }
    values |= {
        "n_sweep_mazes": 7,
        "n_evaluated_mazes": 7,
        "rollout_batch_size": 7,
        "batch_size": 127,
        "n_threads": 1,
    }
    return SaeParams(**(values | changes))
