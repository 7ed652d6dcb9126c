"""Contenders timed in turn, and what comes of it as a row of results.json.

A contender is a function that does some work and returns how much it did: mazes, sequences,
tokens, gigabytes. It is asked again until ``seconds`` have passed; all contenders have their turn
in each round, so that what disturbs the machine for a while disturbs all. Time is processor time
of this process, threads included: other processes do not count, and neither does waiting for a
disk (files are read as they were just written, from the page cache).
"""

import importlib.metadata
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

N_ROUNDS = 5
SECONDS = 1.0  # of processor time, for one contender in one round
Contender = Callable[[], float]
OURS = "mazewm"


@dataclass(frozen=True)
class Line:
    """What all contenders do."""

    name: str  # of a few words, the same for every peer
    work: str  # what exactly is timed, in a sentence
    unit: str  # of the rates, so that more is better: mazes/s
    checked: str  # how the results were seen to be the same


class Ratio(NamedTuple):
    """Ours over theirs, paired by round."""

    median: float
    low: float  # of the rounds, the least
    high: float  # and the most


def rate(contender: Contender, seconds: float) -> float:
    """Work for each second of processor time, over at least ``seconds``."""
    done, since = 0.0, time.process_time()
    while (spent := time.process_time() - since) < seconds:
        done += contender()
    return done / spent


def race(
    contenders: Mapping[str, Contender], n_rounds: int = N_ROUNDS, seconds: float = SECONDS
) -> dict[str, list[float]]:
    """The rate of every contender in every round, after one call of each that is not timed."""
    for contender in contenders.values():
        contender()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(n_rounds):
        for name, contender in contenders.items():
            rates[name].append(rate(contender, seconds))
    return rates


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """How many times as fast ours are, in the median round, the worst and the best."""
    paired = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(paired), min(paired), max(paired))


def rows(
    line: Line, rates: Mapping[str, list[float]], share_of_limit: float | None = None
) -> list[dict[str, Any]]:
    """One row for each peer among ``rates``, named by its package (and, after a comma, the way).

    ``share_of_limit`` is ours, of what the machine could do.
    """
    found = []
    for peer, theirs in rates.items():
        if peer == OURS:
            continue
        compared = ratio(rates[OURS], theirs)
        found.append(
            {
                "name": line.name,
                "work": line.work,
                "peer": peer,
                "peer_version": importlib.metadata.version(peer.split(",")[0]),
                "ours": statistics.median(rates[OURS]),
                "theirs": statistics.median(theirs),
                "unit": line.unit,
                "ratio": compared.median,
                "ratio_low": compared.low,
                "ratio_high": compared.high,
                "share_of_limit": share_of_limit,
                "checked": line.checked,
            }
        )
    return found
