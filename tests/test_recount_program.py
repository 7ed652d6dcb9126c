"""``python -m trust.recount``, in a clone with results that are made up: what agrees and what does
not is said and written down.
"""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import planted_recount
import pytest
import typer
from planted_recount import RUN

from mazewm.io.errors import BadInput
from trust import records
from trust.recount import intervals
from trust.recount.__main__ import main
from trust.recount.published import Figures, Published
from trust.recount.tables import Counted, Same


@pytest.fixture(scope="module", autouse=True)
def few_draws():
    """Enough for figures that are published by the same code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "N_DRAWS", 2_000)
        intervals._weights.cache_clear()
        yield
    intervals._weights.cache_clear()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return planted_recount.clone(tmp_path_factory.mktemp("recount") / "blank é")


@pytest.fixture
def clone(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path / "written")
    shutil.copytree(whole, tmp_path / "clone")
    return tmp_path / "clone"


def change(path, *names, by):
    """Change a number of a JSON file."""
    content = json.loads(path.read_text())
    place = content
    for name in names[:-1]:
        place = place[name]
    place[names[-1]] += by
    path.write_text(json.dumps(content))


def test_what_agrees_is_written_down(clone, capsys):
    main(clone)
    rows = pd.read_csv(records.ROOT / "trust/results/recount.csv")
    assert rows.agrees.all() and set(rows.run) == {RUN} and len(rows) > 20
    new = {f"claims/{id}{end}" for id in ("C5c", "C5d") for end in ("", "/control")}
    assert new <= set(rows["at"])
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(f"{len(rows)} of {len(rows)} figures agree")
    row = rows[rows.figure == "adds: latents (3)"].iloc[0]
    assert row.shown == f"{100 * row.recomputed:.1f} %"


def test_the_results_of_a_study_are_in_a_folder_of_their_own(clone):
    (clone / "metrics").rename(clone / "study")
    main(clone, Path("study"))
    assert not (records.ROOT / "trust/results/recount.csv").exists()
    assert pd.read_csv(records.ROOT / "trust/results/recount_study.csv").agrees.all()


def written():
    """What is written down: the file of counts, and that of figures."""
    return records.read("recount"), pd.read_csv(records.ROOT / records.RESULTS / "recount.csv")


OTHER = RUN.removesuffix("0") + "1"


@pytest.fixture
def two(clone):
    """A clone with two runs, of one of which the tables are no longer there."""
    path = clone / "metrics" / "summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps(summary | {OTHER: summary[RUN]}))
    shutil.copy(clone / f"metrics/runs/{RUN}.json", clone / f"metrics/runs/{OTHER}.json")
    path = clone / "metrics" / "claims.json"
    claims = json.loads(path.read_text())
    path.write_text(json.dumps({"runs": {**claims["runs"], OTHER: claims["runs"][RUN]}}))
    return clone


def put(part, content):
    """Write a file of results in place of the one that is there."""
    (records.ROOT / records.RESULTS / part).write_text(content)


ABOUT = {"about": {"cores": 64}, "commit": "0123abc", "n_checks": 3, "wrong": []}


@pytest.fixture
def counted_elsewhere(two):
    """The same clone, once its run is counted, and the other as in another clone; with one that
    metrics/ do not have. Gives the clone and what was written down of its run."""
    main(two, more=True)
    counts, figures = written()
    assert list(counts["runs"]) == [RUN] and counts["n"] == len(figures)
    both = pd.concat([figures.assign(run=OTHER), figures])
    put("recount.csv", both.to_csv(index=False))
    runs = {OTHER: ABOUT, RUN: ABOUT, "alibi-all-7": ABOUT}
    put("recount.yaml", json.dumps({"runs": runs}))
    return two, counts, figures


def test_runs_of_several_clones_add_up(counted_elsewhere, capsys):
    clone, counts, figures = counted_elsewhere
    main(clone, more=True)
    again, rows = written()
    own = counts["runs"][RUN] | {"about": again["runs"][RUN]["about"]}
    assert again["runs"] == {OTHER: ABOUT, RUN: own} and own["about"]["cores"] != 64
    assert (again["n"], again["agree"]) == (2 * counts["n"], 2 * counts["agree"])
    assert again["n_checks"] == counts["n_checks"] + 3 and again["wrong"] == []
    assert rows.run.value_counts().to_dict() == {OTHER: counts["n"], RUN: counts["n"]}
    pd.testing.assert_frame_equal(rows[rows.run == RUN].reset_index(drop=True), figures)
    *_, own, all_ = capsys.readouterr().out.splitlines()
    assert own.startswith(f"{counts['n']} of {counts['n']} figures agree")
    assert all_ == f"with 1 runs of before: {again['agree']} of {again['n']} figures"


def test_what_was_wrong_with_a_run_of_another_clone_stays_so(counted_elsewhere):
    wrong = ABOUT | {"wrong": ["one"]}
    put("recount.yaml", json.dumps({"runs": {OTHER: wrong}}))
    with pytest.raises(typer.Exit):
        main(counted_elsewhere[0], more=True)
    assert written()[0]["wrong"] == ["one"]


@pytest.mark.parametrize("end", ["value", "low"])
def test_a_figure_that_is_published_anew_is_left_out(counted_elsewhere, end, capsys, monkeypatch):
    clone, before, _ = counted_elsewhere
    change(clone / f"metrics/runs/{OTHER}.json", "interventions", "add", "latents_3", end, by=-1)
    main(clone, more=True)
    again, rows = written()
    assert set(again["runs"]) == {RUN, OTHER} and again["n"] == len(rows) == 2 * before["n"] - 1
    assert again["n_checks"] == before["n_checks"], "none of the other's"
    said = f"{OTHER}: figures published anew since they were counted, left out: 1"
    assert said in capsys.readouterr().out
    monkeypatch.setattr("trust.recount.__main__.is_published", lambda row, figures: False)
    main(clone, more=True)
    assert list(written()[0]["runs"]) == [RUN], "nothing is left of the other"


def test_what_more_cannot_add_to_is_said_in_a_sentence(counted_elsewhere):
    clone, _, figures = counted_elsewhere
    with pytest.raises(BadInput, match=f"{OTHER}/answers.parquet: the file is missing"):
        main(clone)  # of all runs
    put("recount.yaml", "n: 3")
    with pytest.raises(BadInput, match="recount.yaml: runs: expected counts by run, found none"):
        main(clone, more=True)
    put("recount.csv", figures.drop(columns="at").to_csv(index=False))
    with pytest.raises(BadInput, match="recount.csv: expected columns figure, run, at, "):
        main(clone, more=True)
    shutil.rmtree(clone / "artifacts")
    with pytest.raises(BadInput, match="interventions: expected tables of runs of metrics, found"):
        main(clone, more=True)


def test_a_changed_number_is_noticed(clone, capsys):
    """And an interval that another bootstrap does not give, and a changed choice."""
    path = clone / "metrics" / "runs" / f"{RUN}.json"
    added = ("interventions", "add")
    change(path, *added, "latents_3", "value", by=0.001)
    change(path, *added, "mean_difference", "low", by=-0.02)
    change(path, *added, "latents_1", "dose", by=6.0)
    change(path, "sites", "writing", by=", dealt")
    with pytest.raises(typer.Exit) as ended:
        main(clone)
    assert ended.value.exit_code == 1
    *_, number, ends, site, dose, last = capsys.readouterr().out.splitlines()
    assert number.startswith(f"{RUN}: adds: latents (3): published")
    assert ends.startswith(f"{RUN}: adds: mean difference: published")
    assert dose.startswith(f"{RUN}: dose, adds: latents (1): 2.0, published 8.0")
    assert site.startswith(f"{RUN}: writing site: 0.resid_post at c1 and <ADJLIST_END>, published")
    assert re.match(r"(\d+) of (?!\1)\d+ figures agree", last)


def test_a_table_that_is_not_what_mazes_and_answers_give_is_noticed(clone, capsys):
    tables = clone / "artifacts"
    path = tables / "behaviour" / RUN / "answers.parquet"
    rows = pd.read_parquet(path)
    rows.loc[0, "near"] += 1e-4
    rows.to_parquet(path)
    path = tables / "interventions" / RUN / "edited.parquet"
    rows = pd.read_parquet(path)
    rows.loc[rows.index[(rows.method == "latents") & (rows.n_units == 1)][0], "counts"] = False
    rows.loc[rows.index[(rows.method == "latents") & (rows.n_units == 1)][-1], "agrees"] ^= True
    other = (rows.method == "latents") & (rows.n_units == 1) & (rows.kind == "add")
    rows.loc[rows.index[other][1], "is_affected"] ^= True
    rows.to_parquet(path)
    with pytest.raises(typer.Exit):
        main(clone)
    said = capsys.readouterr().out
    for what in (
        "held-out mazes whose questions and walkers are as worked out here: 23 of 24",
        "rows of the ledger that single answers give",
        "questions that count and are affected as worked out here",
    ):
        assert f"{RUN}: {what}" in said
    assert re.search(r"(\d+) of \1 figures agree", said)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.unlink(), "ledger.parquet: the file is missing"),
        (lambda path: path.write_text("no table"), "ledger.parquet: not a table with columns"),
        (lambda path: planted_recount.write(path, pd.DataFrame({"k": [1]})), "not a table with"),
        (lambda path: (path.parents[3] / "metrics/claims.json").write_text("{"), "not JSON"),
    ],
)
def test_what_is_missing_or_broken_is_said_in_a_sentence(clone, spoil, says):
    spoil(clone / "artifacts" / "interventions" / RUN / "ledger.parquet")
    with pytest.raises(BadInput, match=says):
        main(clone)


def test_unmeasured_claims_and_controls_that_are_not_the_claim_s_are_left_out():
    claims = {"C1": {"verdict": "unmeasured"}, "C4a": {"verdict": "refuted", "control_name": "a"}}
    figures = Figures(RUN, {}, claims)
    figure = Counted("a figure", 0.5, None, ("claims", "C4a", "control"))
    assert figures.has(figure) and figures.has(figure._replace(control="a"))
    assert not figures.has(figure._replace(control="b"))
    assert not figures.has(figure._replace(at=("claims", "C1")))
    assert not figures.has(Same("connections", 12, ("claims", "C1", "n")))


def test_conventions_are_read_from_the_text_of_a_claim():
    text = "selectivity, 1 latent: raw -0.4 [-0.5, 0.3]; net of a push 0.1 [0.0, 0.2]"
    figures = Figures(RUN, {}, {"C5": {"measure": text}})
    at = ("claims", "C5", "measure")
    assert figures.figure((*at, "raw")) == Published(-0.4, (-0.5, 0.3))
    assert figures.figure((*at, "net of a push")) == Published(0.1, (0.0, 0.2))
    with pytest.raises(BadInput, match="expected C5 at dose 1"):
        figures.figure((*at, "at dose 1"))
