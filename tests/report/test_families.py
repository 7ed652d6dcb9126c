"""Families of claims: as the documents, the rules and dvc.yaml have them."""

import ast
import inspect
import re

import pytest
import yaml
from report.pages import BETWEEN_RUNS, named

from mazewm.claims import run as scoring
from mazewm.claims.comparison import COMPARED
from mazewm.figures import comparison
from mazewm.planning import errors
from mazewm.report.families import FAMILIES, RUN, SEED, STAGES, WITH_INPUTS, Evidence, sources
from mazewm.results import TABLES
from stages.imports import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
EVIDENCE = {id: one for family in FAMILIES for id, one in family.claims.items()}


def test_families_are_those_of_the_document():
    """Its headings, and the claims in the tables below them, in their order."""
    text = (ROOT / "docs/templates/claims.md.j2").read_text()
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    there = {}
    for part in parts:
        ids = re.findall(r"\bfound\(\[(.*?)\]\)", part) or re.findall(r"comparison", part)
        if ids:
            there[part.splitlines()[0]] = re.findall(r'"(\w+)"', ids[0])
    assert list(there) == [family.title for family in FAMILIES]
    for family in FAMILIES:
        between = [id for id in family.claims if id in BETWEEN_RUNS]
        assert there[family.title] == ([] if between else list(family.claims))


def outs(stage: str) -> list[str]:
    """What a stage writes, with RUN for the name of a run and SEED for its seed."""
    entry = PIPELINE[stage]
    listed = [item for kind in ("outs", "metrics") for item in entry.get(kind, [])]
    paths = [next(iter(item)) if isinstance(item, dict) else item for item in listed]
    return [of_run(path) for path in paths]


def of_run(text: str) -> str:
    """A text of dvc.yaml for the run RUN of the seed SEED."""
    given = {"${key}": RUN, "${item.seed}": SEED, '"${results}"': "numbers"}
    given |= {"${results}": "numbers"}
    for key, value in given.items():
        text = text.replace(key, value)
    return text


@pytest.mark.parametrize("id", EVIDENCE)
def test_commands_are_those_of_the_pipeline_and_write_these_files(id):
    for source in sources(EVIDENCE[id], "numbers", "compare"):
        stage = source.command.split()[2].removeprefix("stages.")
        assert source.command == of_run(PIPELINE[stage]["cmd"])
        for file in source.files:
            assert any(file == out or file.startswith(f"{out}/") for out in outs(stage)), file


def test_every_folder_with_tables_has_its_stage():
    assert set(STAGES) == {folder for folder, _ in TABLES.values()}


def test_readers_of_the_maze_alone_have_these_tables():
    """Those that RunTables.of reads with ``results.inputs``."""
    [read] = re.findall(r"for name in (\(.*?\)):\n\s+told = results\.inputs", source_of(scoring))
    assert ast.literal_eval(read) == WITH_INPUTS
    assert sources(Evidence("", ("whole",)), "m", "compare")[0].files == (
        f"artifacts/{errors.INPUTS}/{SEED}/whole.parquet",
    )


def source_of(module: object) -> str:
    return inspect.getsource(module)  # type: ignore[arg-type]


def rules() -> list[tuple[str, set[str]]]:
    """The rule of every claim of one run, in their order, with the tables that it is given."""
    tree = ast.parse(source_of(scoring))
    [score] = [n for n in ast.walk(tree) if getattr(n, "name", "") == "score_run"]
    assigned = {
        node.targets[0].id: node.value
        for node in reversed(list(ast.walk(score)))
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    first = [n.value for n in ast.walk(score) if isinstance(n, ast.Assign)]
    [listed] = [n for n in first if isinstance(n, ast.List) and "world" in ast.dump(n.elts[0])]

    def tables(node: ast.AST) -> set[str]:
        found = set()
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and getattr(inner.value, "id", "") == "tables":
                found |= {inner.attr} & set(TABLES)
            if isinstance(inner, ast.Name) and inner.id in ("edits", "edges"):
                found |= tables(assigned[inner.id])
        return found

    return [(ast.unparse(rule), tables(rule)) for rule in listed.elts]


def test_the_tables_of_a_claim_are_those_that_its_rule_is_given():
    here = rules()
    ids = [id for id in EVIDENCE if id not in BETWEEN_RUNS]
    several = [rule for rule, _ in here if rule.startswith("*")]
    assert len(several) == 1 and "planning.FACTS" in several[0]  # C8a, C8b, C8c
    order = [
        *(id for id in ids if id[:2] in ("W1", "C1", "C2", "C3", "C4", "C5", "C6")),
        *(["C8a", "C8d", "C9"]),
    ]
    assert len(order) == len(here)
    for id, (rule, tables) in zip(order, here, strict=True):
        assert set(EVIDENCE[id].tables) == tables, f"{id}: {rule}"
    assert EVIDENCE["C8a"] == EVIDENCE["C8b"] == EVIDENCE["C8c"]


def test_claims_between_runs_are_those_that_compare_decides():
    assert {id for id, _ in COMPARED.values()} | {"C7f"} == set(BETWEEN_RUNS)
    assert [id for id in EVIDENCE if EVIDENCE[id].curves] == list(BETWEEN_RUNS)


def test_every_picture_is_drawn():
    drawn = re.findall(r'"(\w+)": lambda', source_of(comparison))
    assert set(named()) <= set(drawn)
    claimed = {name for name in drawn if re.match(r"[CW]\d", name)}
    assert claimed == set(named())
