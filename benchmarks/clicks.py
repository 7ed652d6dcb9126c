"""How long a click takes in the explorer: ``python -m benchmarks.clicks [--n 30]``.

The explorer is served on one core of this machine, a Chromium without a window has the others.
Each measured click changes one connection inside the model, of a random test maze in which nothing
is changed yet: one that the maze lacks and one that it has in turn. Time is that of the page, from
the click until the new board, map of beliefs included, has been painted. The prompt itself was read
before, when the maze was drawn, as it is for a visitor.

Prints rows for ``docs/templates/measured.yaml``: medians with their 95 % interval, and the 90th
percentile, in milliseconds. It needs what the tests of the page need (``make env-explore
env-browser``), and two cores.
"""

import argparse
import datetime
import itertools
import os
import tempfile
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from benchmarks import machine
from benchmarks.browsers import BROWSER, NAMES, served
from mazewm.figures.style import METHODS
from mazewm.io.errors import BadInput
from mazewm.io.program import run as as_program

if TYPE_CHECKING:
    from playwright.sync_api import Page

TRIED = ("latents", "mean_difference", "tokens")
WAIT = 120_000  # ms, at most
ARTIFACTS = Path("artifacts")

# Resolves to the milliseconds from a click on an element to the first frame in which a board is
# another: a message that is posted while a frame is prepared arrives once that is painted.
CLICK = """
([element, board, wait]) => new Promise((resolve, reject) => {
  const box = document.querySelector(board);
  const late = setTimeout(() => reject(new Error(board + ' stayed as it was')), wait);
  let since = 0;
  const observer = new MutationObserver(() => {
    observer.disconnect();
    clearTimeout(late);
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => resolve(performance.now() - since);
      channel.port2.postMessage(0);
    });
  });
  observer.observe(box, {childList: true, subtree: true, attributes: true, characterData: true});
  const target = document.querySelector(element);
  since = performance.now();
  target.dispatchEvent(new MouseEvent('click', {bubbles: true}));
})
"""
# The connections that the prompt's board shows as there.
THERE = """
() => {
  const centre = (part) => { const box = part.getBBox();
    return [box.x + box.width / 2, box.y + box.height / 2].map(Math.round).join(); };
  const board = document.querySelector('.board.prompt');
  const lines = new Set([...board.querySelectorAll('line[stroke=white]')].map(centre));
  return [...board.querySelectorAll('[data-e]')].map((part) => lines.has(centre(part)));
}
"""
INSIDE = ".board.inside"
MARKS = {True: f"{INSIDE} svg > path[d]", False: f"{INSIDE} line[stroke-dasharray='4 3']"}


def click(page: "Page", element: str) -> float:
    """Click on an element, which must change the right board; milliseconds until it is painted."""
    return float(page.evaluate(CLICK, [element, INSIDE, WAIT]))


def another_maze(page: "Page") -> list[bool]:
    """A random maze, in which nothing is changed; which connections it has."""
    page.evaluate(
        "() => [...document.querySelectorAll('button')]"
        ".find((one) => one.innerText.toLowerCase() === 'random maze').id = 'another'"
    )
    click(page, "#another")
    is_there: list[bool] = page.evaluate(THERE)
    return is_there


def choose(page: "Page", run: str, method: str) -> str:
    """Choose a run and a method, and wait until a click is answered by them; returns why this
    cannot be, or an empty text."""
    page.get_by_role("combobox", name="run").click()
    page.get_by_role("option", name=run).click()
    page.get_by_role("radio", name=METHODS[method].label).click()
    colour = METHODS[method].colour
    for _ in range(100):
        is_there = another_maze(page)
        click(page, f"{INSIDE} [data-e='{is_there.index(False)}']")
        if page.locator(".problem").is_visible():
            return page.locator(".problem").inner_text()
        if page.locator(f"{INSIDE} polyline.walked[stroke='{colour}']").count():
            return ""
    raise BadInput(f"{run}: expected a path that is walked after an edit by {method}, found none.")


def measured(page: "Page", n: int, rng: np.random.Generator) -> Iterator[float]:
    """Milliseconds of n clicks."""
    for nth in range(n):
        is_there, remove = np.array(another_maze(page)), nth % 2 == 1
        e = int(rng.choice(np.flatnonzero(is_there == remove)))
        yield click(page, f"{INSIDE} [data-e='{e}']")
        marks = [page.locator(MARKS[kind]).count() for kind in (remove, not remove)]
        if marks != [1 if remove else 2, 0] or page.locator(".problem").is_visible():
            raise BadInput(f"a click on connection {e}: expected its change on the board.")


def row(run: str, method: str, times: Sequence[float]) -> str:
    """One row of YAML. The interval of the median is that of order statistics."""
    ordered, n = np.sort(times), len(times)
    below = max(0, int(stats.binom.ppf(0.025, n, 0.5)) - 1)
    low, high = ordered[below], ordered[n - 1 - below]
    found = {"median": np.median(ordered), "low": low, "high": high, "p90": np.quantile(times, 0.9)}
    said = ", ".join(f"{name}: {value:.0f}" for name, value in found.items())
    return f"- {{run: {run}, method: {METHODS[method].label}, n: {n}, {said}}}"


def rows(artifacts: Path, n: int, seed: int) -> Iterator[str]:
    """The rows of all runs of a folder. BadInput if something that this needs is missing."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    if len(cores) < 2:
        raise BadInput(f"expected two cores that can be chosen, found {len(cores)}.")
    if BROWSER is None:
        raise BadInput(f"expected one of {', '.join(NAMES)}, found none.")
    try:
        from playwright.sync_api import ViewportSize, sync_playwright
    except ImportError:
        raise BadInput("expected the package playwright; `make env-browser` installs it.") from None
    runs = sorted(file.parent.name for file in artifacts.glob("models/*/transformer.safetensors"))
    one, rng = {max(cores)}, np.random.default_rng(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(artifacts.absolute(), Path(folder), one) as port,
        on_cores(cores - one),
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        for run, method in itertools.product(runs, TRIED):
            page = browser.new_page(viewport=ViewportSize(width=1280, height=800))
            page.set_default_timeout(WAIT)
            page.goto(f"http://127.0.0.1:{port}/")
            page.wait_for_selector(f"{INSIDE} svg")
            if why := choose(page, run, method):
                yield f"# {run}, {METHODS[method].label}: {why}"
            else:
                yield row(run, method, list(measured(page, n, rng)))
            page.close()
        browser.close()


@contextmanager
def on_cores(cores: Set[int]) -> Iterator[None]:
    """This process, and those that it starts, have only these cores meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=30, help="clicks for each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--artifacts", type=Path, default=ARTIFACTS)
    given = parser.parse_args()
    if given.n < 1:
        raise BadInput(f"--n {given.n}: expected at least one click.")
    print(f"date: {datetime.date.today()}")
    print(f"processor: one core of an {machine.processor()}")
    print(f"load: {os.getloadavg()[0]:.1f}  # before it, the mean of a minute")
    print("clicks:", flush=True)
    for one in rows(given.artifacts, given.n, given.seed):
        print(f"  {one}", flush=True)


if __name__ == "__main__":
    as_program(main)
