"""Documents: filled from the results, no sentence beyond them, every link leads somewhere, the
first page is short.
"""

import copy
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from stages import fill_docs
from stages.imports import ROOT

TEMPLATES = sorted((ROOT / fill_docs.TEMPLATES).glob("*.md.j2"))
FILLED = [
    Path("README.md") if path.stem == "README.md" else Path("docs") / path.stem
    for path in TEMPLATES
]
PAGES = [
    Path("README.md"),
    Path("CONTRIBUTING.md"),
    Path("CHANGELOG.md"),
    *(p.relative_to(ROOT) for p in sorted((ROOT / "docs").glob("*.md"))),
]
MOST_WORDS = 700  # of the README's prose
TYPED = {"95"}  # percent that are definitions: intervals


@pytest.fixture(scope="module")
def filled() -> dict[Path, str]:
    return fill_docs.filled()


def test_every_template_makes_a_document(filled):
    assert list(filled) == FILLED


@pytest.mark.parametrize("document", FILLED, ids=str)
def test_documents_are_what_their_templates_give(filled, document):
    same = (ROOT / document).read_text() == filled[document]
    assert same, (
        f"{document} is not what its template gives with these results; python -m "
        "stages.fill_docs writes it"
    )


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_result_is_typed_into_a_template(template):
    text = re.sub(r"\{[{%#].*?[}%#]\}", "", template.read_text(), flags=re.DOTALL)
    typed = set(re.findall(r"([\d.]+)\s?%", text)) - TYPED
    assert not typed, (
        f"{template.name}: {sorted(typed)} % is typed; take it from metrics/ or from measured.yaml"
    )


def renamed(folder: Path, names: dict[str, str]) -> Path:
    """A copy of ``metrics/`` whose runs are copies of the first one with other names, and their
    recipes with them."""
    metrics = ROOT / "metrics"
    summary, claims = (
        json.loads((metrics / name).read_text()) for name in ("summary.json", "claims.json")
    )
    first, pooled = next(iter(summary)), next(iter(claims["encodings"].values()))
    (folder / "runs").mkdir(parents=True)
    for name in names:
        shutil.copy(metrics / "runs" / f"{first}.json", folder / "runs" / f"{name}.json")
        shutil.copytree(metrics / "tables" / first, folder / "tables" / name)
    recipes = list(names.values())
    one = {id: claim | {"n_seeds": recipes.count(recipes[0])} for id, claim in pooled.items()}
    claims |= {
        "runs": dict.fromkeys(names, claims["runs"][first]),
        "encodings": dict.fromkeys(recipes, one),
    }
    (folder / "claims.json").write_text(json.dumps(claims))
    (folder / "summary.json").write_text(json.dumps(dict.fromkeys(names, summary[first])))
    for further in VARIED:
        shutil.copytree(metrics / further, folder / further)
    return folder


@pytest.fixture
def study(tmp_path):
    """Results with two objectives and two seeds of each."""
    names = {
        f"rotary-{objective}-{seed}": f"rotary-{objective}"
        for objective in ("all", "path")
        for seed in (0, 1)
    }
    return renamed(tmp_path / "metrics", names)


def test_templates_take_whatever_runs_there_are(study):
    made = fill_docs.filled(metrics=study)
    readme, claims = made[Path("README.md")], made[Path("docs/claims.md")]
    table = [line for line in readme.splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in table] == [
        "rotary-all-0",
        "rotary-all-1",
        "rotary-path-0",
        "rotary-path-1",
    ]
    assert "Ranges are over 4 models" in readme and "`rotary-all-0` solves" not in readme
    assert (
        "one seed of each" not in readme
        and "differ only as seeds do, unless [C7]" in readme
        and "| claim | `rotary-all`, all seeds | `rotary-path`, all seeds |" in claims
    )


def test_with_many_models_claims_are_judged_by_the_study_and_verdicts_are_counted(tmp_path):
    metrics = tmp_path / "metrics"
    shutil.copytree(ROOT / "metrics", metrics, ignore=shutil.ignore_patterns("figures", "study"))
    names = {f"{name}-all-0": f"{name}-all" for name in ("learned", "sinusoidal", "none", "alibi")}
    study = renamed(metrics / "study", names)
    params = (ROOT / "params.yaml").read_text().replace("results: metrics ", "results: elsewhere ")
    (study / "params.yaml").write_text(params)
    claims = json.loads((study / "claims.json").read_text())
    less = claims["runs"]["none-all-0"] = copy.deepcopy(claims["runs"]["none-all-0"])
    for one in claims["runs"].values():
        one["W1c"] |= {"verdict": "supported"}
    less["W1c"] |= {"verdict": "undecided", "value": 0.25, "control": 0.125}
    for id in less.keys() - {"W1a", "W1b", "W1c"}:  # as of a model that solves too few mazes
        less[id] |= {"verdict": "unmeasured", "value": 0.0, "control": 0.0, "control_name": ""}
    (study / "claims.json").write_text(json.dumps(claims))
    made = fill_docs.filled(metrics=metrics)
    page, readme = made[Path("docs/claims.md")], made[Path("README.md")]
    value = claims["runs"]["alibi-all-0"]["W1c"]["value"]
    assert "4 encodings (learned, sinusoidal, none, alibi), objective all, seed 0." in page
    assert "figures in `elsewhere/`" in page
    [row] = [line for line in page.splitlines() if line.startswith("| W1c ")]
    assert f"| **supported** 3, undecided 1 | {value:.2f} [0.25 to {value:.2f}] |" in row
    [row] = [line for line in page.splitlines() if line.startswith("| C4d ")]
    assert "| **supported** 3, unmeasured 1 |" in row
    assert "in 3 models more than as many other units" in readme
    assert "*detect* connections as well in 3 models (C1)" in readme
    [row] = [line for line in readme.splitlines() if line.startswith("| `none-all-0`")]
    assert row.endswith("| unmeasured |")


@pytest.mark.parametrize(
    ("folder", "recipe", "head", "shared"),
    [
        (
            "trees", "learned-all", "| world: trees only (the paper's) |",
            "| world: trees only | `learned-all-0` |",
        ),
        (
            "desk", "learned-path",
            "| scale: desk, all its sizes, such as 6×6 cells and 192 dimensions, objective: path |",
            "| scale | `learned-path-0` |",
        ),
    ],
)  # fmt: skip
def test_another_world_has_a_row_where_it_has_been_tried(tmp_path, folder, recipe, head, shared):
    metrics = tmp_path / "metrics"
    shutil.copytree(ROOT / "metrics", metrics, ignore=shutil.ignore_patterns("figures"))
    with_it = fill_docs.filled(metrics=metrics)[Path("docs/claims.md")].splitlines()
    claims, study = (
        json.loads((metrics / name / "claims.json").read_text()) for name in (folder, "study")
    )
    written = claims["encodings"][recipe]["C4d"]
    [row] = [line for line in with_it if line.startswith(head)]
    assert f"{written['value']:.2f} / {written['control']:.2f}" in row
    here, there = (
        {id: one["verdict"] for id, one in some["runs"][f"{recipe}-0"].items()}
        for some in (claims, study)
    )
    both = [id for id in here if "unmeasured" not in (here[id], there.get(id, "unmeasured"))]
    n_same = sum(here[id] == there[id] for id in both)
    [row] = [line for line in with_it if line.startswith(shared)]
    assert f"| {n_same} of {len(both)} |" in row
    shutil.rmtree(metrics / folder)
    without = fill_docs.filled(metrics=metrics)[Path("docs/claims.md")].splitlines()
    assert not [line for line in without if line.startswith((head, shared))]


def test_what_several_runs_say_of_a_claim(filled_runs):
    all_, unmeasured = fill_docs.tally(filled_runs, "C1"), fill_docs.tally(filled_runs[:1], "C1")
    assert all_["verdicts"] == {"supported": 2, "unmeasured": 1}
    assert (all_["least"], all_["median"], all_["most"]) == (0.5, 0.625, 0.75)
    assert all_["control"] == 0.25 and all_["controls"] == ["chance", "luck"]
    assert unmeasured["median"] is None and unmeasured["controls"] == []


@pytest.fixture
def filled_runs() -> list[fill_docs.Filled]:
    """Three runs, in the first of which claim C1 was not measured."""
    blank = {"statement": "s", "verdict": "unmeasured"}
    blank |= dict.fromkeys(("value", "control", "control_name"))
    given = {"statement": "s", "verdict": "supported"}
    found = [
        blank,
        given | {"value": 0.5, "control": 0.125, "control_name": "chance"},
        given | {"value": 0.75, "control": 0.375, "control_name": "luck"},
    ]
    return [fill_docs.Filled("x-all-0", {}, {}, {"C1": one}, Path()) for one in found]


def test_a_sentence_that_results_no_longer_carry_is_refused(study):
    claims = json.loads((study / "claims.json").read_text())
    claims["runs"]["rotary-path-0"]["W1a"]["verdict"] = "undecided"
    (study / "claims.json").write_text(json.dumps(claims))
    with pytest.raises(BadInput, match="no longer carry the sentence “answers take more than"):
        fill_docs.filled(metrics=study)


def test_numbers_in_words():
    assert fill_docs.percent(0.98425) == "98.4 %"
    assert fill_docs.interval({"value": 0.5, "low": 0.25, "high": 0.75}) == "50.0 % [25.0, 75.0]"
    assert fill_docs.connections({"generator": "dfs", "min_cells": 6, "max_cells": 11}) == (5, 10)
    assert fill_docs.connections({"generator": "loop", "min_cells": 6, "max_cells": 10}) == (6, 10)


def test_the_first_page_is_short():
    text = re.sub(r"```.*?```|<!--.*?-->", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
    n_words = len(re.sub(r"\]\([^)]*\)", "]", prose).split())
    assert n_words <= MOST_WORDS, (
        f"README.md has {n_words} words of prose; the most is {MOST_WORDS}"
    )


def headings(page: Path) -> list[str]:
    """The anchors of a page's headings, as GitHub makes them: lower case, hyphens for blanks,
    punctuation left out."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles]


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The file (below the root) and the anchor of every link of a page that leads into the
    repository."""
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            there = (
                (ROOT / page.parent / file).resolve().relative_to(ROOT.resolve()) if file else page
            )
            yield there, anchor


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere."""
    found = []
    for file, anchor in links(page):
        if not (ROOT / file).exists() or (anchor and anchor not in headings(file)):
            found.append(f"{file}#{anchor}" if anchor else str(file))
    return found


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    assert not broken(page)


def test_every_quantity_has_an_anchor_of_its_own():
    anchors = headings(Path("docs/science.md"))
    assert len(anchors) == len(set(anchors))
    for file in sorted([*(ROOT / "mazewm").rglob("*.py"), *(ROOT / "stages").rglob("*.py")]):
        for anchor in re.findall(r"science\.md#([\w-]+)", file.read_text()):
            assert anchor in anchors, (
                f"{file.relative_to(ROOT)} points to docs/science.md#{anchor}, which has no such "
                "heading"
            )


VARIED = {
    "trees": {("objectives",), ("mazes", "world")},
    "desk": {("scale",), ("objectives",)},
    "position_jitter": {("encodings",), ("training", "position_jitter")},
    "narrow": {
        ("encodings",),
        ("scales", "laptop", "transformer", "d_model"),
        ("scales", "laptop", "training", "n_steps"),
        ("sae", "sparsities"),  # few active latents for as many dimensions
    },
}


def flat(tree: object, at: tuple[str, ...] = ()) -> dict[tuple[str, ...], object]:
    """Every leaf of nested dictionaries, by its path."""
    if not isinstance(tree, dict):
        return {at: tree}
    found = {}
    for name, part in tree.items():
        found |= flat(part, (*at, name))
    return found


@pytest.mark.parametrize("folder", VARIED)
def test_a_further_run_differs_from_the_others_in_what_it_varies_only(folder):
    """Its results are not those of this pipeline's stages, so they would go stale unseen."""
    study, other = (
        flat(read_yaml(ROOT / where / "params.yaml")) for where in ("", f"metrics/{folder}")
    )
    assert study.keys() == other.keys()
    differs = {name for name in study if study[name] != other[name]}
    assert differs == VARIED[folder] | {("results",)}
    # What the first page and docs/claims.md say of jitter is about learned positions.
    allowed = {"learned"} if folder == "position_jitter" else set(study["encodings",])
    assert set(other["encodings",]) <= allowed


def test_a_table_begins_after_a_blank_line():
    """Otherwise it would be text of the paragraph or list above it."""
    for name in ("README.md", "docs/claims.md"):
        lines = (ROOT / name).read_text().splitlines()
        for before, line in itertools.pairwise(lines):
            if line.startswith("| ") and not before.startswith("|"):
                assert before == "", f"{name}: {line}"
