"""Facts of a maze that no single token states: whether the model represents and uses them."""

from mazewm.io.lazy import offer

__getattr__ = offer(
    __name__, probe_and_steer="study", read_inputs="inputs", PlanningParams="params"
)
