"""What stage compare wrote about a study -> one page of HTML, with everything in it: all claims of
all runs by family, each with its figures, its picture, and where it comes from.
"""

import base64
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from mazewm.claims.claim import NEAR, VERDICTS, Verdict
from mazewm.figures.style import VERDICTS as COLOURS
from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.report.families import FAMILIES, RUN, Evidence, Source, base, compare, sources

TEMPLATE = "page.html.j2"  # beside this file; dvc.yaml has it as a dependency of stage compare
BETWEEN = "between runs"
POOLED = "{}, all seeds"
MANY = 4  # columns; beyond so many, the first table has marks in place of words
MARKS: dict[Verdict, str] = dict(zip(VERDICTS, "+−=±?·", strict=True))
# What the rules of docs/science.md#claims come to, for readers of the page alone.
MEANINGS: dict[Verdict, str] = {
    "supported": "The value lies above every control, by more than chance explains.",
    "refuted": "The opposite is shown: the value lies below a control, by more than chance "
    "explains.",
    "not beyond the control": "Neither, and some control does as well: the whole interval of the "
    f"difference from it lies below {NEAR}. So the value is no sign of what the claim says.",
    "depends": "The value lies above or below, depending on the convention by which it is "
    "compared, and the conventions disagree.",
    "undecided": "None of these: the data are too few, and the interval too wide, to tell.",
    "unmeasured": "There are no data, or too few for any verdict, or the model solves too few "
    "mazes; the reason is given.",
}


@dataclass(frozen=True)
class Card:
    """A claim with what every run says about it."""

    id: str
    statement: str
    results: dict[str, Mapping[str, Any]]  # as in claims.json, by run
    evidence: Evidence
    sources: list[Source]

    @property
    def anchor(self) -> str:
        """The id of its place on the page."""
        return self.id.replace(" ", "-")


def render(results: Path, scale: str, by: str) -> str:
    """The page about the runs in ``results/claims.json`` and ``results/summary.json``, which stage
    ``by`` wrote, with pictures of ``results/figures/comparison/``. BadInput if one of these is
    missing, or a claim has no family."""
    claims = files.read_json(results / "claims.json", "the claims that stage compare writes")
    summary = files.read_json(results / "summary.json", "the summary that stage compare writes")
    families = {
        family.title: (cards, family.beside)
        for family, cards in zip(FAMILIES, cards_of(claims, results, by), strict=True)
        if cards
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
    )
    environment.filters |= {"number": number, "interval": interval, "slug": slug}
    shown = shown_in(claims)
    columns = columns_of(shown)
    every = [card for cards, _ in families.values() for card in cards]
    said = {
        name: [card.results[name]["verdict"] for card in every if name in card.results]
        for name in (*shown, BETWEEN)
    }
    return environment.get_template(TEMPLATE).render(
        families=families,
        first=shown_first(every),
        pictures=dict(pictures(results, families)),
        shown=shown,
        columns=columns,
        between=BETWEEN,
        many=len(columns) > MANY,
        marks=MARKS,
        counts={name: Counter(verdicts) for name, verdicts in said.items() if verdicts},
        summary=summary,
        scale=scale,
        n_seeds=min(
            one["n_seeds"] for some in claims["encodings"].values() for one in some.values()
        ),
        meanings=MEANINGS,
        colours={verdict: COLOURS[verdict] for verdict in VERDICTS},
        stands_for=RUN,
        results=results.as_posix(),
        compare=compare(results.as_posix(), by),
        docs=Path(os.path.relpath("docs", results)).as_posix(),
    )


def shown_in(claims: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the page tells of: recipes pooled over seeds, where there is more than one seed, and
    every run; their claims by id."""
    pooled = {
        POOLED.format(name): some
        for name, some in claims["encodings"].items()
        if any(one["n_seeds"] > 1 for one in some.values())
    }
    return pooled | claims["runs"]


def columns_of(shown: Collection[str]) -> list[str]:
    """The columns of the first table: all that are shown, or if they are many, runs only where
    their recipe is not there.

    >>> columns_of(["none-all, all seeds", "none-all-0", "none-all-1"])
    ['none-all, all seeds', 'none-all-0', 'none-all-1']
    >>> columns_of(["none-all, all seeds", *(f"none-all-{n}" for n in range(4)), "alibi-all-0"])
    ['none-all, all seeds', 'alibi-all-0']
    """
    if len(shown) <= MANY:
        return list(shown)
    return [name for name in shown if POOLED.format(name.rpartition("-")[0]) not in shown]


def cards_of(claims: Mapping[str, Any], results: Path, by: str) -> list[list[Card]]:
    """The claims of each of FAMILIES, in its order; BadInput for a claim that is in none."""
    by_id: dict[str, dict[str, Mapping[str, Any]]] = {}
    for name, some in (shown_in(claims) | {BETWEEN: claims["comparison"]}).items():
        for id, one in some.items():
            by_id.setdefault(id, {})[name] = one
    ordered = [
        [
            Card(
                id,
                next(iter(found.values()))["statement"],
                found,
                evidence,
                sources(evidence, results.as_posix(), by),
            )
            for known, evidence in family.claims.items()
            for id, found in by_id.items()
            if base(id) == known
        ]
        for family in FAMILIES
    ]
    homeless = sorted(set(by_id) - {card.id for cards in ordered for card in cards})
    if homeless:
        raise BadInput(
            f"{results / 'claims.json'}: claim {homeless[0]}: expected one of a family in "
            "mazewm/report/families.py."
        )
    return ordered


def shown_first(cards: list[Card]) -> dict[str, Card]:
    """The claim under which each picture stands: the first that it shows."""
    found: dict[str, Card] = {}
    for card in cards:
        found.setdefault(card.evidence.picture, card)
    return found


def pictures(
    results: Path, families: Mapping[str, tuple[list[Card], tuple[str, ...]]]
) -> Iterator[tuple[str, str]]:
    """The name and the content (a data URI) of every picture that the families show."""
    of_claims = [card.evidence.picture for cards, _ in families.values() for card in cards]
    beside = [name for _, names in families.values() for name in names]
    for name in filter(None, dict.fromkeys([*of_claims, *beside])):
        yield name, embedded(results / "figures" / "comparison" / f"{name}.png")


def embedded(path: Path) -> str:
    """A picture as data URI. BadInput if it is missing or no PNG."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.verify()
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected a picture of claims.") from None
    except (OSError, SyntaxError) as error:  # which PIL raises for a broken PNG
        raise BadInput(f"{path}: expected a picture of claims ({error}).") from None
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def number(value: float) -> str:
    """A number to three places.

    >>> number(0.34449), number(-0.65), number(-0.0001)
    ('0.344', '−0.650', '0.000')
    """
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def interval(one: Mapping[str, Any], of: str = "") -> str:
    """The interval of a claim's value, or of its ``control`` or ``gap``; nothing for a level
    without sampling error.

    >>> interval({"gap_low": -0.1, "gap_high": 0.25}, "gap")
    '[−0.100, 0.250]'
    """
    low, high = (one.get(f"{of}_{end}" if of else end, 0.0) for end in ("low", "high"))
    return f"[{number(low)}, {number(high)}]" if low < high else ""


def slug(verdict: str) -> str:
    """A verdict as the name of a style."""
    return verdict.replace(" ", "-")
