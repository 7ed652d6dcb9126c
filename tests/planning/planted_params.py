"""Settings for probes of a few hundred mazes."""

from mazewm.planning.params import PlanningParams

PARAMS = PlanningParams(
    n_fit_mazes=307,
    n_input_mazes=307,
    n_held_out_mazes=151,
    penalties=[1e-4, 1.0],
    n_steered=7,
    n_steered_validation=5,
    doses=[1.0],
    n_twins=1,
    n_twins_validation=1,
    twin_doses=[1.0],
    batch_size=83,
    n_threads=1,
)
