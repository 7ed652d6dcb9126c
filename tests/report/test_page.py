"""The page: every claim as in claims.json, nothing that leaves it, nothing that it runs."""

import base64
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from report.pages import Page, made_up, named, of_one_seed, write_study

from mazewm.claims.claim import VERDICTS
from mazewm.claims.comparison import Compared
from mazewm.figures.style import VERDICTS as COLOURS
from mazewm.io.errors import BadInput
from mazewm.report.page import MARKS, MEANINGS, render
from stages import compare, compare_there
from stages.command import command
from stages.imports import ROOT


@pytest.fixture(scope="module")
def claims():
    return made_up()


@pytest.fixture(scope="module")
def study(tmp_path_factory, claims):
    return write_study(tmp_path_factory.mktemp("study") / "metrics", claims)


@pytest.fixture(scope="module")
def page(study):
    return Page(render(study, "laptop", "compare")).root


def columns(claims):
    """Every column of the page with its claims."""
    pooled = {f"{recipe}, all seeds": some for recipe, some in claims["encodings"].items()}
    return pooled | claims["runs"] | {"between runs": claims["comparison"]}


def assert_told(root, claims):
    """Every claim of every column, in its card: verdict, and what was measured or why not."""
    for name, some in columns(claims).items():
        for id, one in some.items():
            card = root.at(id.replace(" ", "-"))
            assert card.text.startswith(f"{id}: {one['statement']}")
            results = {next(r.all("h4")).text: r.text for r in card.all("div", "result")}
            text = results[f"{name} {one['verdict']}"]
            assert one["measure"] in text
            if one["verdict"] == "unmeasured":
                assert one["reason"] in text and "Difference" not in text
                continue
            for of, label in {
                "": "Value",
                "control": f"Strongest control: {one['control_name']}",
                "gap": "Difference",
            }.items():
                low, high = (one[f"{of}_{end}" if of else end] for end in ("low", "high"))
                said = f"{label} {plain(one[of or 'value'])}"
                said += f" [{plain(low)}, {plain(high)}]" if low < high else ""
                assert said in text, (id, name, said)
            assert f"{one['n']:,} ({one['n_clusters']:,})" in text.replace("( ", "(")


def plain(value):
    """A number as the page has it, but for those that are -0 when rounded."""
    text = f"{value:.3f}".replace("-", "−")
    return text.replace("−0.000", "0.000")


def test_every_claim_is_there_as_in_claims_json(page, claims):
    assert_told(page, claims)
    assert page.at("C7a-path").text.count("a number: rotary 0.777 [0.500, 0.900]") == 1
    assert "Seeds: 1 supported, 1 refuted." in page.at("C1").text
    n_claims = len(claims["runs"]["rotary-all-0"]) + len(claims["comparison"])
    assert len(list(page.all("article"))) == n_claims


def test_the_committed_results_are_told():
    results = ROOT / "metrics"
    text = render(results, "laptop", "compare")
    root = Page(text).root
    claims = json.loads((results / "claims.json").read_text())
    if all(one["n_seeds"] == 1 for some in claims["encodings"].values() for one in some.values()):
        claims |= {"encodings": {}}
        assert "encodings may differ only as seeds do" in root.text
    assert_told(root, claims)
    assert len(text) < 6 * 2**20
    assert (results / "study/report.html").stat().st_size < 8 * 2**20  # with panels of more runs


def test_the_first_table_has_every_verdict_in_its_column(page, claims):
    [table] = page.all("table", "verdicts")
    assert table.attributes["class"] == "verdicts"
    head, *rows = ([cell.text for cell in row.parts if not isinstance(cell, str)]
                   for row in table.all("tr"))  # fmt: skip
    names = [f"{recipe}, all seeds" for recipe in claims["encodings"]]  # whose runs would be many
    assert head == ["Claim", *names]
    said = {row[0].partition(" what")[0]: row[1:] for row in rows if len(row) > 1}
    for id in claims["runs"]["rotary-all-0"]:
        assert said[id] == [columns(claims)[name][id]["verdict"] for name in names]
    for id, one in claims["comparison"].items():
        assert said[id] == [one["verdict"]]
    for chip in table.all("span", "verdict"):
        assert chip.attributes["class"] == f"verdict {chip.text.replace(' ', '-')}"


def test_many_columns_have_marks_that_the_page_explains(tmp_path, claims):
    many = of_one_seed(claims)
    some = many["runs"]["alibi-all-0"]
    study = write_study(tmp_path / "metrics", many)
    root = Page(render(study, "laptop", "compare_there")).root
    assert "stages.compare_there --results" in root.text and "stages.compare " not in root.text
    [table] = root.all("table", "verdicts")
    assert table.attributes["class"] == "verdicts many"
    head, *rows = table.all("tr")
    found = {row.text.partition(" what")[0]: row for row in rows}
    for id, one in some.items():
        assert [td.text for td in found[id].all("td")] == [one["verdict"]] * len(many["runs"])
    assert head.text.split() == ["Claim", *many["runs"]]
    said = root.at("marks").text
    assert len(set(MARKS.values())) == len(VERDICTS)
    [style] = root.all("style")
    for verdict, mark in MARKS.items():
        assert f"{mark} is {verdict}" in said
        assert f'.{verdict.replace(" ", "-")}::before {{ content: "{mark}";' in style.text
    [chip] = [one for one in table.all("td") if one.attributes.get("title") == "alibi-all-0"][:1]
    assert chip.text == some[next(iter(some))]["verdict"]  # a reader who hears the page has words


def test_verdicts_are_counted_for_every_column(page, claims):
    counted = {next(li.all("b")).text: li for ul in page.all("ul", "counts") for li in ul.all("li")}
    assert list(counted) == list(columns(claims))
    for name, some in columns(claims).items():
        told = [one["verdict"] for one in some.values()]
        here = [chip.text for chip in counted[name].all("span")]
        assert here == [f"{told.count(v)} {v}" for v in VERDICTS if v in told]


def test_every_verdict_is_explained_and_has_a_colour(page):
    assert tuple(MEANINGS) == VERDICTS and set(COLOURS) == set(VERDICTS)
    explained = {next(d.all("dt")).text: next(d.all("dd")).text
                 for d in page.at("verdicts").all("div")}  # fmt: skip
    assert explained == MEANINGS
    [style] = page.all("style")
    for verdict, colour in COLOURS.items():
        assert f".{verdict.replace(' ', '-')} {{ --verdict: {colour} }}" in style.text


def test_every_picture_is_inside_once_and_its_claims_lead_to_it(page, study):
    shown = {f.attributes["id"]: next(f.all("img")).attributes for f in page.all("figure")}
    assert sorted(shown) == sorted(f"picture-{name}" for name in named())
    for name in named():
        head, _, data = shown[f"picture-{name}"]["src"].partition(",")
        assert head == "data:image/png;base64" and shown[f"picture-{name}"]["alt"]
        with (
            Image.open(io.BytesIO(base64.b64decode(data))) as inside,
            Image.open(study / "figures" / "comparison" / f"{name}.png") as file,
        ):
            assert np.array_equal(inside.convert("RGB"), file.convert("RGB"))
    assert next(page.at("C4a").all("figure")).attributes["id"] == "picture-C4_edits"
    for id in ("C4b", "C9"):
        links = [link.attributes["href"] for link in page.at(id).all("a")]
        assert links == ["#picture-C4_edits"] and not list(page.at(id).all("figure"))


def test_nothing_leaves_the_page_but_links_to_the_paper_and_the_documents(page, study):
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for one in page.all():
        assert one.tag not in ("script", "iframe", "object", "embed", "base", "form")
        assert not [name for name in one.attributes if name.startswith("on")]
        href = one.attributes.get("href", "#verdicts")
        if href.startswith("#"):
            assert href[1:] in ids, href
        else:
            place = r"https://arxiv\.org/abs/[\d.]+|data:,|(\.\./)+(.+/)?docs/\w+\.md(#\w+)?"
            assert re.fullmatch(place, href), href
        assert one.attributes.get("src", "data:").startswith("data:")
    [style] = page.all("style")
    assert "url(" not in style.text and "@import" not in style.text


def test_documents_are_found_from_the_folder_of_results(monkeypatch, tmp_path, claims):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "metrics" / "paper", claims)
    (tmp_path / "metrics" / "paper").rename(tmp_path / "moved")
    assert 'href="../docs/claims.md"' in render(Path("moved"), "paper", "compare")


HOSTILE = "<script>alert('x')</script> & \"<img src=//far.example/x onerror=run()>\" {{ 1 + 1 }}"


@pytest.mark.parametrize("field", ["statement", "measure", "control_name", "reason"])
def test_what_claims_say_is_text_and_nothing_else(tmp_path, claims, field):
    hostile = json.loads(json.dumps(claims))
    for some in (*hostile["runs"].values(), *hostile["encodings"].values(), hostile["comparison"]):
        for one in some.values():
            one[field] = HOSTILE
    root = Page(render(write_study(tmp_path / "metrics", hostile), HOSTILE, "compare")).root
    assert not list(root.all("script"))
    assert all(img.attributes["src"].startswith("data:") for img in root.all("img"))
    assert_told(root, hostile)
    assert HOSTILE in next(root.all("header")).text  # as the scale


def test_a_missing_picture_is_named(tmp_path, claims):
    study = write_study(tmp_path / "metrics", claims)
    gone = study / "figures" / "comparison" / "C6_capacity.png"
    gone.unlink()
    with pytest.raises(BadInput, match=r"C6_capacity\.png: the file is missing; expected a pict"):
        render(study, "laptop", "compare")
    gone.write_text("no picture")
    with pytest.raises(BadInput, match=r"C6_capacity\.png: expected a picture of claims"):
        render(study, "laptop", "compare")


def test_a_claim_without_a_family_is_named(tmp_path, claims):
    more = claims | {"comparison": claims["comparison"] | {"C99": claims["comparison"]["C10"]}}
    with pytest.raises(BadInput, match="claim C99: expected one of a family"):
        render(write_study(tmp_path / "metrics", more), "laptop", "compare")


def test_the_same_results_give_the_same_page(study):
    assert render(study, "laptop", "compare") == render(study, "laptop", "compare")


@pytest.fixture
def stage(tmp_path, monkeypatch, claims):
    """Stage compare, with claims and pictures that are made up; a function that runs it and gives
    its exit code."""
    monkeypatch.chdir(tmp_path)
    study = write_study(tmp_path / "drawn", claims)
    for run in claims["runs"]:
        (tmp_path / "metrics" / "runs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "metrics" / "runs" / f"{run}.json").write_text("{}")
    (tmp_path / "params.yaml").write_text(
        "{scale: tiny, encodings: [rotary], objectives: [all, path], seeds: [0, 1]}"
    )
    summary = json.loads((study / "summary.json").read_text())
    nothing = pd.DataFrame()
    compared = Compared(summary, claims, {}, 0.5, nothing, nothing)

    def draw(folder, _):
        for path in (study / "figures" / "comparison").iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr("mazewm.claims.comparison.compare", lambda runs, results: compared)
    monkeypatch.setattr("mazewm.figures.comparison.draw_comparison", draw)
    monkeypatch.setattr(sys, "argv", ["compare", "--results", "metrics"])

    def run():
        with pytest.raises(SystemExit) as ending:
            command(compare.main)()
        return ending.value.code

    return run


def test_the_stage_writes_the_page(stage, tmp_path, claims):
    assert not stage()
    root = Page((tmp_path / "metrics" / "report.html").read_text()).root
    assert_told(root, claims)
    assert "its figures mean nothing" in next(root.all("header")).text


def test_the_stage_says_in_one_sentence_which_picture_is_missing(stage, tmp_path, capsys):
    (tmp_path / "drawn" / "figures" / "comparison" / "C5_asymmetry.png").unlink()
    assert stage() == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(said) == 1 and "C5_asymmetry.png: the file is missing" in said[0]
    assert not (tmp_path / "metrics" / "report.html").exists()


def test_the_runs_that_are_there(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(BadInput, match="expected the metrics of runs, found none"):
        compare_there.runs_there(tmp_path)
    names = ["learned-all-0", "learned-all-2", "learned-all-10", "learned-path-0", "rotary-all-1"]
    for name in reversed(names):
        (tmp_path / "runs" / f"{name}.json").write_text("{}")
    assert [run.name for run in compare_there.runs_there(tmp_path)] == names
    (tmp_path / "runs" / "notes.json").write_text("{}")
    with pytest.raises(BadInput, match="notes"):
        compare_there.runs_there(tmp_path)
