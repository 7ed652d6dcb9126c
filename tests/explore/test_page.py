"""The page in a real browser; skipped without NiceGUI, Playwright or Chromium."""

import socket
import subprocess
import urllib.error
import urllib.request

import numpy as np
import pytest
from explore.planted_explorer import cells_of, first, planted

from benchmarks.browsers import BROWSER, NAMES, command, environment, free_port, served
from mazewm.explore.scene import Scene
from mazewm.figures.style import METHODS
from mazewm.io.errors import BadInput
from mazewm.maze.maze import Maze

pytest.importorskip("nicegui", reason="nicegui, of the extra `explore`, is not installed")
playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright, of requirements-browser.lock, is not installed"
)
pytestmark = unserved = pytest.mark.skipif(
    BROWSER is None, reason=f"none of {', '.join(NAMES)} is installed here"
)
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PITCH, MARGIN = 64, 40  # of a board
WAIT = 20_000  # ms, at most; a machine that does other things is slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs in one folder."""
    folder = tmp_path_factory.mktemp("two")
    rotary = planted(folder)
    learned = planted(folder, "learned-all-0")
    return {one.name: one for one in (learned, rotary)}


@pytest.fixture(scope="module")
def port(runs, tmp_path_factory):
    with served(runs["rotary-all-0"].artifacts, tmp_path_factory.mktemp("served")) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        one = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield one
        one.close()


@pytest.fixture
def page(browser, port):
    """The page, after whose use nothing was asked of others, and nothing went wrong."""
    one = browser.new_page(viewport=LAPTOP)
    one.set_default_timeout(WAIT)
    asked, said = [], []
    one.on("request", lambda request: asked.append(request.url))
    one.on("websocket", lambda socket_: asked.append(socket_.url))
    one.on("console", lambda message: said.append((message.type, message.text)))
    one.on("pageerror", lambda error: said.append(("error", str(error))))
    one.goto(f"http://127.0.0.1:{port}/")
    one.wait_for_selector(".board.inside svg")
    yield one
    one.close()
    here = tuple(f"{scheme}://127.0.0.1:{port}/" for scheme in ("http", "ws"))
    assert len(asked) > 3 and not [url for url in asked if not url.startswith((*here, "data:"))]
    assert any(url.startswith("ws") for url in asked)
    assert not [what for what in said if what[0] in ("error", "warning")], said


def start(run) -> Scene:
    """What the page shows first."""
    for maze in run.mazes("test"):
        try:
            return Scene(maze).corridor(np.random.default_rng(0))
        except BadInput:
            continue
    raise AssertionError("no maze has room for a corridor")


def shown(page, board: str) -> tuple:
    """The path that a board shows."""
    lines = page.locator(f".board.{board} polyline.walked")
    if not lines.count():
        return ()
    points = lines.first.get_attribute("points").split()
    at = [tuple(float(x) for x in point.split(",")) for point in points]
    return tuple((round((y - MARGIN) / PITCH), round((x - MARGIN) / PITCH)) for x, y in at)


def click(page, board: str, what: str) -> None:
    """A click on a part of a board, after which the board is another."""
    before = page.locator(f".board.{board}").inner_html()
    page.locator(f".board.{board} [{what}]").click()
    page.wait_for_function(
        "([board, before]) => document.querySelector('.board.' + board).innerHTML !== before",
        arg=[board, before],
    )


def choose_run(page, name: str) -> None:
    page.get_by_role("combobox", name="run").click()
    page.get_by_role("option", name=name).click()
    page.wait_for_timeout(1500)


def of_walk(path) -> tuple:
    """As a board shows it: a path of one cell is not drawn."""
    return path if len(path) > 1 else ()


def test_a_run_is_chosen_and_a_click_on_a_wall_changes_the_edited_path(page, runs):
    run = runs["rotary-all-0"]
    assert page.locator(".board.inside polyline").count() <= 2
    choose_run(page, run.name)
    scene = start(run)
    page.get_by_role("button", name="Undo changes").click()
    page.wait_for_function(
        "() => document.querySelector('.board.inside').nextElementSibling.textContent"
        ".startsWith('Nothing is changed')"
    )
    # the way from one cell of the prompt to another, which solve can be asked about
    maze = next(one for one in run.mazes("test") if (one.bits == scene.maze.bits).all())
    for end, cell in (("T, target", maze.target), ("S, start", maze.origin)):
        page.get_by_role("button", name=end).click()
        if getattr(scene.maze, "target" if end[0] == "T" else "origin") != cell:
            click(page, "prompt", f"data-cell='{maze.number(cell)}'")
    assert shown(page, "prompt") == shown(page, "inside") == of_walk(run.solve(maze).path)
    paths = set()
    for e in first(~maze.bits, 3):
        click(page, "inside", f"data-e='{e}'")
        expected = run.solve(maze, add=[cells_of(run, e)]).path
        assert shown(page, "inside") == of_walk(expected)
        assert shown(page, "prompt") == of_walk(run.solve(maze).path)
        paths.add(expected)
        click(page, "inside", f"data-e='{e}'")
        assert shown(page, "inside") == of_walk(run.solve(maze).path)
    assert paths - {run.solve(maze).path}, "no wall that was clicked changes the path"
    e = first(maze.bits, 1)[0]
    click(page, "inside", f"data-e='{e}'")
    assert shown(page, "inside") == of_walk(run.solve(maze, remove=[cells_of(run, e)]).path)
    click(page, "prompt", f"data-e='{e}'")
    drawn = Maze(maze.grid, maze.bits & (np.arange(len(maze.bits)) != e), maze.origin, maze.target)
    if drawn.has_one_path:
        assert shown(page, "inside") == shown(page, "prompt") == of_walk(run.solve(drawn).path)


def test_the_keyboard_does_what_a_click_does(page, runs):
    scene = start(runs["learned-all-0"])
    board = page.locator(".board.inside")
    board.focus()
    page.keyboard.press("ArrowUp")
    page.wait_for_selector(".board.inside .cursor")
    here = scene.maze.number(scene.maze.origin)
    grid = scene.maze.grid
    above = int(grid.neighbours[here, 0])
    here = above if above >= 0 else here
    side = next(nth for nth in range(4) if grid.neighbours[here, nth] >= 0)
    after = scene.toggle(int(grid.connection_of[here, grid.neighbours[here, side]]))
    page.keyboard.press("Shift+" + ("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight")[side])
    page.wait_for_function(
        "([lines, crosses]) => { const board = document.querySelector('.board.inside'); return "
        "board.querySelectorAll(\"line[stroke-dasharray='4 3']\").length === lines && "
        "board.querySelectorAll('path[d]').length === crosses; }",
        arg=[2 * len(after.added), len(after.removed)],
    )
    there = int(grid.neighbours[here, side])
    page.keyboard.press("s")
    x, y = (MARGIN + PITCH * int(part) for part in divmod(there, grid.n)[::-1])
    page.wait_for_selector(f".board.inside text[x='{x}'][y='{y + 5.5}']:text-is('S')")
    page.keyboard.press("Tab")
    page.wait_for_selector(".board.inside .cursor", state="detached")


def test_the_details_open_and_answer(page):
    page.get_by_text("How likely is each step?").click()
    page.wait_for_selector(".steps th:text-is('<PATH_START>')")
    page.get_by_text("Which tokens does a token attend to").click()
    page.wait_for_selector(".latents td")
    page.locator(".chip[data-pos='5']").click()
    page.wait_for_selector(".chip.chosen[data-pos='5']")
    assert page.get_by_text("Token 5,").count() == 1
    page.get_by_role("combobox", name="block").click()
    page.get_by_role("option", name="1").click()
    page.wait_for_timeout(500)
    assert page.locator(".chip.chosen[data-pos='5']").count() == 1


@pytest.mark.parametrize(
    "method", ["mean difference", "control: random direction", "in the prompt"]
)
def test_other_methods_have_their_colour(page, method):
    [colour] = [look.colour for look in METHODS.values() if look.label == method]
    page.get_by_text("How likely is each step?").click()
    page.get_by_role("radio", name=method).click()
    page.wait_for_selector(f".steps .bar[style*='{colour}']")
    assert not page.locator(".problem").is_visible()


def test_what_cannot_be_done_is_a_sentence(page, runs):
    maze = start(runs["learned-all-0"]).maze
    for e in first(maze.bits, 99)[:-1]:
        click(page, "prompt", f"data-e='{e}'")
    page.locator(f".board.prompt [data-e='{first(maze.bits, 99)[-1]}']").click()
    page.wait_for_selector(".problem:has-text('needs at least one connection.')")
    page.get_by_role("button", name="Random maze").click()
    page.wait_for_selector(".problem", state="hidden")


def test_a_broken_run_is_named_and_another_can_be_chosen(page, runs):
    weights = runs["rotary-all-0"].weights
    broken = weights.parent.parent / "none-all-0" / weights.name
    broken.parent.mkdir()
    broken.write_bytes(b"no safetensors")
    try:
        one = page.context.browser.new_page()
        with served(runs["rotary-all-0"].artifacts, broken.parent) as port:
            one.goto(f"http://127.0.0.1:{port}/")
            one.wait_for_selector(".board.inside svg")
            one.get_by_role("combobox", name="run").click()
            one.get_by_role("option", name="none-all-0").click()
            one.wait_for_selector(f".problem:has-text('{broken}')")
            choose_run(one, "rotary-all-0")
            one.wait_for_selector(".board.inside svg")
            one.wait_for_selector(".problem", state="hidden")
        one.close()
    finally:
        broken.unlink()


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_it_fits_the_screen(page, size):
    page.set_viewport_size(size)
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    if size is LAPTOP:
        for part in (".board.prompt", ".board.inside", ".controls"):
            box = page.locator(part).bounding_box()
            assert box["y"] + box["height"] <= size["height"], part


def test_it_listens_on_this_machine_only_and_under_its_own_name(port):
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    others -= {one for one in others if one.startswith("127.0.0.1")}
    with open("/proc/net/tcp") as table:
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    mine = [address for address in listening if int(address.split(":")[1], 16) == port]
    assert [address.split(":")[0] for address in mine] == ["0100007F"]
    for other in others:
        with socket.socket() as probe:
            assert probe.connect_ex((other, port)) != 0
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": "elsewhere.test"})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(asked)


def test_it_starts_with_runs_and_a_free_port_only(port, runs, tmp_path):
    artifacts = runs["rotary-all-0"].artifacts
    for folder, at, says in (
        (tmp_path, free_port(), "expected at least one run, found none"),
        (artifacts, port, "--port: expected a free port"),
    ):
        done = subprocess.run(
            command(folder, at), cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 1 and says in " ".join(done.stderr.split()), done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == [], "nothing is written where it is started"
