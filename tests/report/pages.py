"""Made-up studies to write a page about, and a reader of pages that notes what is wrong."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from mazewm.claims.claim import VERDICTS
from mazewm.report.families import FAMILIES

BETWEEN_RUNS = ("C7a", "C7b", "C7c", "C7d", "C7e", "C7f", "C10")
OBJECTIVES, SEEDS = ("all", "path"), (0, 1)
VOID = ("meta", "link", "img", "br", "hr", "input")


def named() -> list[str]:
    """Every picture that the families name."""
    shown = [one.picture for family in FAMILIES for one in family.claims.values()]
    beside = [name for family in FAMILIES for name in family.beside]
    return [name for name in dict.fromkeys([*shown, *beside]) if name]


def told(id: str, nth: int) -> dict[str, object]:
    """A claim as claims.json has it, with numbers that no other has; verdicts by turns."""
    verdict = VERDICTS[nth % len(VERDICTS)]
    is_measured = verdict != "unmeasured"
    at = nth / 1000 if is_measured else 0.0
    control = {
        "control": at - 0.4005,
        "control_low": at - 0.4506,
        "control_high": at - 0.3504,
        "gap": at + 0.4007,
        "gap_low": at + 0.3508,
        "gap_high": at + 0.4509,
    }
    return {
        "statement": f"what {id} says",
        "measure": f"measure {nth} of {id}",
        "value": at,
        "low": at - 0.1001 * is_measured,
        "high": at + 0.1002 * is_measured,
        **{name: value * is_measured for name, value in control.items()},
        "control_name": f"control {nth}" if is_measured else "",
        "p": 0.5,
        "n": 2000 + nth if is_measured else 0,
        "n_clusters": 1000 + nth if is_measured else 0,
        "verdict": verdict,
        "reason": "" if is_measured else f"reason {nth}",
    }


def made_up() -> dict[str, dict]:
    """The content of a claims.json: one encoding, two objectives with two seeds each."""
    ids = [id for family in FAMILIES for id in family.claims if id not in BETWEEN_RUNS]
    recipes = [f"rotary-{objective}" for objective in OBJECTIVES]
    runs = [f"{recipe}-{seed}" for recipe in recipes for seed in SEEDS]
    numbers = iter(range(1, 10_000))
    seeds = {"n_seeds": len(SEEDS), "verdicts": {"supported": 1, "refuted": 1}}
    between = [*(f"{id} {o}" for o in OBJECTIVES for id in BETWEEN_RUNS[:-1]), "C10"]
    values = {"a number": {"rotary": {"value": 0.7775, "low": 0.5, "high": 0.9}}}
    return {
        "runs": {run: {id: told(id, next(numbers)) for id in ids} for run in runs},
        "encodings": {
            recipe: {id: told(id, next(numbers)) | seeds for id in ids} for recipe in recipes
        },
        "comparison": {id: told(id, next(numbers)) | {"values": values} for id in between},
    }


def of_one_seed(claims: dict[str, dict]) -> dict[str, dict]:
    """The same with five recipes of one seed each."""
    some = next(iter(claims["runs"].values()))
    recipes = [f"{encoding}-all" for encoding in ("learned", "sinusoidal", "rotary", "alibi")]
    recipes.append("rotary-path")
    once = {id: one | {"n_seeds": 1, "verdicts": {one["verdict"]: 1}} for id, one in some.items()}
    return claims | {
        "runs": {f"{recipe}-0": some for recipe in recipes},
        "encodings": {recipe: once for recipe in recipes},
    }


def write_study(folder: Path, claims: dict[str, dict]) -> Path:
    """What stage compare writes of claims before it writes the page."""
    pictures = folder / "figures" / "comparison"
    pictures.mkdir(parents=True)
    (folder / "claims.json").write_text(json.dumps(claims))
    (folder / "summary.json").write_text(
        json.dumps({run: {"solved": 0.5} for run in claims["runs"]})
    )
    for nth, name in enumerate(named()):
        Image.new("RGB", (40 + nth, 20), (10 * nth, 100, 200)).save(pictures / f"{name}.png")
    return folder


class Element:
    """An element of a page, with its text and that of all elements inside."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.parts: list[Element | str] = []

    @property
    def text(self) -> str:
        inner = "".join(p if isinstance(p, str) else f" {p.text} " for p in self.parts)
        return " ".join(inner.split())

    def all(self, tag: str = "", style: str = "") -> Iterator["Element"]:
        """All elements inside, in the order of the page, of a tag and a class."""
        for part in self.parts:
            if isinstance(part, Element):
                if tag in ("", part.tag) and (
                    not style or style in part.attributes.get("class", "").split()
                ):
                    yield part
                yield from part.all(tag, style)

    def at(self, id: str) -> "Element":
        """The element of an id."""
        [found] = [one for one in self.all() if one.attributes.get("id") == id]
        return found


class Page(HTMLParser):
    """A page as a tree; AssertionError for tags that are not closed, or by another name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("page", {})
        self.open = [self.root]
        self.feed(text)
        self.close()
        assert self.open == [self.root], f"not closed: {self.open[-1].tag}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag}: an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].parts.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)
