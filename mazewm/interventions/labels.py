"""What the tables of interventions call a condition."""

from dataclasses import dataclass
from typing import Literal

from mazewm.localize.locations import WritingSite

Where = Literal["site", "own", "one", "dealt"]

# which tokens of the writing site are the main ones, by kind of pairs; a move is written where it
# adds, and removes where ``remove`` does
MAIN: dict[str, Where] = {"add": "site", "move": "site", "remove": "own"}


@dataclass(frozen=True)
class Label:
    """The columns that name a condition: what is written, at which tokens, and the dose."""

    method: str
    n_units: int
    place: str
    tokens: str
    dose: float


def tokens_in_words(site: WritingSite, where: Where) -> str:
    """The edited tokens.

    >>> from mazewm.maze.tokens import TokenClass
    >>> site = WritingSite(0, ("c1", "<-->"), TokenClass.C2)
    >>> [tokens_in_words(site, where) for where in ("site", "own", "dealt")]
    ['c1 and <-->', 'own c2', 'c1 and <-->, dealt']
    """
    if where in ("own", "one"):
        return f"{where} {site.read_at}"
    names = " and ".join(site.tokens)
    return names if where == "site" else f"{names}, dealt"
