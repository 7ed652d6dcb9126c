"""Running a transformer on mazes: edits and recording of activations, greedy rollouts that share a
prefix, and the share of mazes solved.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(__name__, measure_behaviour="study", BehaviourParams="study", Subject="subject")
