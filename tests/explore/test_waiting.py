"""What is clicked while the page waits; and the benchmark that clicks."""

import subprocess
import sys

import pytest
import yaml
from explore.planted_explorer import NAMES, first, planted
from explore.test_page import browser, click, runs, start, unserved

from benchmarks import browsers, clicks
from mazewm.figures.style import METHODS
from mazewm.io.errors import BadInput

__all__ = ["browser", "runs"]  # fixtures
pytestmark = unserved
# the explorer, whose cached activations take three seconds to read
SLOW = """
import runpy, time
from functools import cached_property
from mazewm.loaded import LoadedRun
read = LoadedRun.known_arrows.func
def slowly(run):
    time.sleep(3)
    return read(run)
LoadedRun.known_arrows = cached_property(slowly)
LoadedRun.known_arrows.__set_name__(LoadedRun, "known_arrows")
runpy.run_module("mazewm.explore", run_name="__main__", alter_sys=False)
"""


def test_what_is_clicked_while_a_method_is_read_stays(browser, runs, tmp_path, monkeypatch):
    run = runs[NAMES[1]]
    plain = browsers.command(run.artifacts, 0)
    monkeypatch.setattr(
        browsers,
        "command",
        lambda artifacts, port: [sys.executable, "-c", SLOW, *plain[3:-2], str(port), plain[-1]],
    )
    with browsers.served(run.artifacts, tmp_path) as port:
        page = browser.new_page()
        page.set_default_timeout(20_000)
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector(".board.inside svg")
        page.get_by_role("button", name="Undo changes").click()
        page.get_by_role("radio", name="mean difference").click()
        page.wait_for_selector(".fine:text-is('Reading cached activations …')")
        e = first(~start(run).maze.bits, 1)[0]
        click(page, "inside", f"data-e='{e}'")
        assert "latent" in page.locator(".controls .fine").first.inner_text(), "still the old one"
        page.wait_for_selector(r".fine:text-matches('^adds at .*: dose [0-9.]+$')")
        assert page.locator(clicks.MARKS[False]).count() == 2
        page.close()


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_run_and_method(tmp_path):
    planted(tmp_path)
    words = ["--n", "3", "--artifacts", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.clicks", *words],
        env=browsers.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    printed = yaml.safe_load(done.stdout)
    assert {"date", "processor", "load"} < set(printed)
    labels = [METHODS[method].label for method in clicks.TRIED]
    assert [(one["run"], one["method"]) for one in printed["clicks"]] == [
        (NAMES[0], label) for label in labels
    ]
    for one in printed["clicks"]:
        assert one["n"] == 3
        assert 0 < one["low"] <= one["median"] <= one["p90"] <= one["high"] < 20_000


def test_an_interval_of_a_median_is_that_of_order_statistics():
    line = clicks.row("rotary-all-0", "latents", [float(one) for one in range(1, 31)])
    assert "median: 16, low: 10, high: 21, p90: 27" in line, "the 10th and the 21st of 30"


def test_a_benchmark_without_two_cores_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(clicks.os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(BadInput, match=r"^expected two cores that can be chosen, found 1\.$"):
        next(clicks.rows(tmp_path, 3, seed=0))
