"""What a transformer does with mazes: taps and edits, recording, rollouts that share a prefix,
behaviour.
"""

from mazewm.io.lazy import offer

__getattr__ = offer(
    __name__, measure_behaviour="behaviour", BehaviourRow="behaviour", Subject="subject"
)
