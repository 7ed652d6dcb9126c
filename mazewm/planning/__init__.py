"""Facts of a maze that no token states: does the model represent them, and does it go by them?"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, probe_and_steer="study", PlanningParams="probes")
