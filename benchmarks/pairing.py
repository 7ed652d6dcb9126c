"""Contenders timed in turn, and their rates as rows of results.json.

A contender is a function that does some work and returns how much: mazes, sequences, tokens,
gigabytes. It is called again until ``seconds`` have passed. All contenders run in each round, so
that a temporary disturbance of the machine affects all of them. Time is processor time of this
process, threads included; it leaves out other processes and waiting for a disk (files that were
just written are read from the page cache).
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
    """The work that all contenders of a comparison do."""

    name: str  # a few words, the same for every peer
    work: str  # what exactly is timed, in a sentence
    unit: str  # of the rates, such that more is better, as in mazes/s
    checked: str  # how the results were found to be the same


class Ratio(NamedTuple):
    """Our rate over theirs, paired by round."""

    median: float  # over rounds
    low: float  # the lowest of all rounds
    high: float  # the highest of all rounds


def rate(contender: Contender, seconds: float) -> float:
    """Work per second of processor time, over at least ``seconds``."""
    done, since = 0.0, time.process_time()
    while (spent := time.process_time() - since) < seconds:
        done += contender()
    return done / spent


def race(
    contenders: Mapping[str, Contender], n_rounds: int = N_ROUNDS, seconds: float = SECONDS
) -> dict[str, list[float]]:
    """The rate of every contender in every round, after one call of each without timing."""
    for contender in contenders.values():
        contender()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(n_rounds):
        for name, contender in contenders.items():
            rates[name].append(rate(contender, seconds))
    return rates


def ratio(ours: list[float], theirs: list[float]) -> Ratio:
    """The ratio of our rates to theirs, paired by round: median, lowest and highest."""
    paired = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(paired), min(paired), max(paired))


def rows(
    line: Line, rates: Mapping[str, list[float]], share_of_limit: float | None = None
) -> list[dict[str, Any]]:
    """One row for each peer among ``rates``, whose names are those of packages, perhaps followed by
    a comma and the way it is used.

    ``share_of_limit`` is our rate as a share of what the machine could do at most.
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
