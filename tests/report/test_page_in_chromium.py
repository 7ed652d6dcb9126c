"""The page as a browser lays it out, on a phone and on a wide screen; skipped without Chromium."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from report.pages import made_up, named, of_one_seed, write_study

from mazewm.report import render

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed here"
)
WIDTHS, HEIGHT = (390, 1280), 844  # of a phone, and of a laptop's screen
DARK, LIGHT = (f"--blink-settings=preferredColorScheme={nth}" for nth in (0, 1))
# A page that holds ours in frames of these widths, and says how they came out: a window itself
# cannot be as narrow as a phone.
AROUND = """<!doctype html><title>frames</title>
%(frames)s
<script>
addEventListener("load", () => {
  const said = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement, width = frame.clientWidth;
    const scrolls = one => one.closest(".wide");
    const sticks = [...page.querySelectorAll("body *")].filter(one => !scrolls(one)
      && one.getBoundingClientRect().right > width + 0.5);
    const images = [...page.images];
    return {
      width, scrollWidth: root.scrollWidth,
      sticks: sticks.map(one => one.tagName + " " + one.textContent.slice(0, 60)),
      images: images.filter(one => one.complete && one.naturalWidth > 0).length,
      wide: Math.max(...[...page.querySelectorAll(".wide")].map(one => one.clientWidth)),
      text: getComputedStyle(page.body).color, paper: getComputedStyle(page.body).backgroundColor,
      first: page.querySelector(".verdicts").getBoundingClientRect().top,
    };
  });
  document.body.innerHTML = "<pre></pre>";
  document.querySelector("pre").textContent = JSON.stringify(said);
});
</script>
"""


def laid_out(page: Path, folder: Path, option: str) -> list[dict]:
    """How Chromium lays a page out at each of WIDTHS."""
    frames = "\n".join(
        f'<iframe src="{page.as_uri()}" style="width: {width}px; height: {HEIGHT}px; border: 0">'
        "</iframe>"
        for width in WIDTHS
    )
    around = folder / "around.html"
    around.write_text(AROUND % {"frames": frames})
    done = subprocess.run(
        [
            BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--allow-file-access-from-files", f"--user-data-dir={folder / 'profile'}",
            "--window-size=1400,1000", "--virtual-time-budget=10000", option,
            "--dump-dom", around.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
        env=os.environ | {"HOME": str(folder), "TZ": "UTC"},
    )  # fmt: skip
    found = re.search(r"<pre>(.*?)</pre>", done.stdout, re.DOTALL)
    assert found, f"{done.stdout[-500:]} {done.stderr[-2000:]}"
    said: list[dict] = json.loads(
        found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    )
    return said


@pytest.fixture(scope="module", params=["words", "marks"])
def page(request, tmp_path_factory):
    """A page about two recipes of two seeds each, or about five of one, with words and numbers as
    long as can be."""
    folder = tmp_path_factory.mktemp("page")
    claims = made_up() if request.param == "words" else of_one_seed(made_up())
    for some in (*claims["runs"].values(), claims["comparison"]):
        for one in some.values():
            one["measure"] += " at_a_place_with_a_name_that_is_longer_than_a_phone_is_wide" * 2
            one["control_name"] += " another_name_that_is_longer_than_the_column_it_stands_in"
    study = write_study(folder / "metrics", claims)
    path = folder / "report.html"
    path.write_text(render(study, "laptop", "compare"))
    return path


@pytest.fixture(scope="module")
def light(page, tmp_path_factory):
    return laid_out(page, tmp_path_factory.mktemp("light"), LIGHT)


def test_nothing_is_wider_than_the_screen(light):
    """But what scrolls inside its own box, which is no wider than the screen either."""
    for said, width in zip(light, WIDTHS, strict=True):
        assert said["width"] == width
        assert not said["sticks"], said["sticks"][:5]
        assert said["scrollWidth"] <= width and said["wide"] <= width
        assert said["images"] == len(named())


def test_the_first_table_begins_on_the_first_screen_of_a_laptop(light):
    assert light[1]["first"] < HEIGHT


def brightness(colour: str) -> float:
    """0 to 255, of rgb(...)."""
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def test_it_is_dark_where_the_reader_wants_it_dark(page, light, tmp_path):
    for one in light:
        assert brightness(one["paper"]) > 200 and brightness(one["text"]) < 60
    for one in laid_out(page, tmp_path, DARK):
        assert brightness(one["paper"]) < 60 and brightness(one["text"]) > 200
