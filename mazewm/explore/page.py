"""The page itself, by NiceGUI: two boards, the controls, the details. What each click does is in
``scene``, what the model does with it in ``answers``.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from nicegui import app, events, run, ui
from starlette.middleware.trustedhost import TrustedHostMiddleware

from mazewm.explore import boards, words
from mazewm.explore.answers import Answer, Explorer
from mazewm.explore.details import Details
from mazewm.explore.explorers import Explorers
from mazewm.explore.scene import METHODS, SPLITS, Scene
from mazewm.figures import style
from mazewm.interventions.edits import RANDOM, TOLD
from mazewm.io.errors import BadInput

HOST = "127.0.0.1"  # this machine only: whoever reaches the page reads the run's files
UNITS = {0: "as many as was best", 1: "1", 2: "2", 4: "4", 8: "8", 16: "16"}
DOUBLINGS = 3  # of the dose, up and down
# A click on a connection or a cell; and keys, which arrive only while a board has the focus.
CLICKED = (
    "(e) => { const t = e.target; if (t.dataset.e !== undefined) emit('e', +t.dataset.e);"
    " else if (t.dataset.cell !== undefined) emit('cell', +t.dataset.cell); }"
)
PRESSED = (
    "(e) => { if (/^(Arrow(Up|Down|Left|Right)|[stST])$/.test(e.key) && !e.ctrlKey && !e.metaKey)"
    " { e.preventDefault(); emit(e.key, e.shiftKey); } }"
)
SIDES = ("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight")  # as in Lattice.neighbours
SENTENCE = (
    "The maze on the left is all that the model is told. On the right, change the maze "
    "<b>inside the model</b>: click a wall or a connection, and watch the model walk it."
)


class Page:
    """What one visitor sees and has chosen."""

    def __init__(self, explorers: Explorers) -> None:
        self.explorers, self.rng = explorers, np.random.default_rng(0)
        self.explorer: Explorer | None = None
        self.scene: Scene | None = None
        self.answer: Answer | None = None
        self.cursor = dict[str, int | None](prompt=None, inside=None)
        self.end = "target"
        self._build()
        self.choose(explorers.names[0])

    def _build(self) -> None:
        ui.add_css(Path(__file__).with_name("look.css"))
        with ui.element("header").classes("top"):
            ui.html("mazewm explorer", tag="h1")
            ui.html(SENTENCE, tag="p")
        self.problem = ui.label().classes("problem").props('role="alert"')
        self.problem.set_visibility(False)
        with ui.element("main").classes("main"):
            self.boards, self.said = dict[str, ui.html](), dict[str, ui.label]()
            for name, title in (
                ("prompt", "The maze in the prompt. Click to redraw it."),
                ("inside", "What the model believes. Click to change it inside."),
            ):
                with ui.element("section").classes("side"):
                    ui.html(title, tag="h2")
                    self.boards[name] = self._board(name)
                    self.said[name] = ui.label().classes("said").props('aria-live="polite"')
            with ui.element("section").classes("controls"):
                self._controls()
        ui.html(boards.legend(), sanitize=False).classes("key")
        self.details = Details()

    def _board(self, name: str) -> ui.html:
        board = ui.html("", sanitize=False).classes(f"board {name}")
        board.props(
            'tabindex=0 role="application" aria-label="Arrow keys move over the cells; with shift '
            'they change the connection that they cross; s and t set start and target."'
        )
        board.on("click", lambda e: self.clicked(name, *e.args), js_handler=CLICKED)
        board.on("keydown", lambda e: self.pressed(name, *e.args), js_handler=PRESSED)
        board.on("blur", lambda: self.left(name))
        return board

    def _controls(self) -> None:
        names = self.explorers.names
        self.run = ui.select(names, label="run", on_change=lambda e: self.choose(e.value))
        self.run.props("dense outlined options-dense").style("width:100%")
        with ui.element("div").classes("line"):
            ui.button("New corridor", on_click=self.corridor).props("unelevated dense").tooltip(
                "A corridor through cells that the prompt never mentions"
            )
            ui.button("Undo changes", on_click=self.undo).props("outline dense")
        with ui.element("div").classes("line"):
            ui.button("Random maze", on_click=self.random).props("outline dense")
            self.split = ui.select(list(SPLITS), value=SPLITS[0], label="from split")
            self.split.props("dense outlined options-dense")
        with ui.element("div").classes("line"):
            ui.label("A click on a cell sets").classes("label")
            ui.toggle(
                {"origin": "S, start", "target": "T, target"},
                value="target",
                on_change=lambda e: setattr(self, "end", e.value),
            ).props("dense no-caps unelevated")
        ui.label("How connections are changed").classes("label")
        labels = {one: style.METHODS[one].label for one in METHODS}
        self.method = ui.radio(labels, value=METHODS[0], on_change=self.set_method)
        self.method.props("dense").classes("methods")
        self.units = (
            ui.select(UNITS, value=0, label="latents of each connection", on_change=self.set_units)
            .props("dense outlined options-dense")
            .style("width:100%")
        )
        self.times = ui.label().classes("label")
        self.slider = ui.slider(min=-DOUBLINGS, max=DOUBLINGS, step=0.5, value=0)
        self.slider.on("update:model-value", self.set_strength, throttle=0.1)
        self.slider.props('aria-label="dose"')
        self.doses = ui.label().classes("fine")
        self.lacks = ui.label().classes("fine lacks")
        self.took = ui.label().classes("fine took")

    def choose(self, name: str) -> None:
        """Another run, with a maze of its own and a corridor."""
        self.run.value = name
        if self.explorer and self.explorer.run.name == name:
            return
        self.explorer = self.scene = self.answer = None

        def start() -> Scene:
            self.explorer = explorer = self.explorers[name]
            mazes = explorer.mazes(SPLITS[0])
            self.units.set_options(
                {n: UNITS[n] for n in UNITS if n <= explorer.most_units}, value=0
            )
            method = next(one for one in METHODS if one not in explorer.missing)
            self.method.value, self.slider.value = method, 0
            for maze in mazes:
                try:
                    return Scene(maze, method=method).corridor(np.random.default_rng(0))
                except BadInput:
                    continue
            return Scene(mazes[0], method=method)

        self.act(start)

    def act(self, change: Callable[[], Scene]) -> None:
        """Make a change and answer it. What is wrong with it is said on the page; a scene that
        could not be made leaves the last one."""
        started = time.perf_counter()
        try:
            self.scene = change()
            self.answer = None
            if self.explorer:
                self.answer = self.explorer.answer(self.scene)
            problem = ""
        except BadInput as error:
            problem = str(error)
        self.problem.text = problem
        self.problem.set_visibility(bool(problem))
        self.draw()
        self.took.text = f"Answered in {1000 * (time.perf_counter() - started):.0f} ms."

    def draw(self) -> None:
        """Everything on the page, by scene and answer."""
        scene, answer = self.scene, self.answer
        if scene is None or self.explorer is None:
            for name in self.boards:
                self.boards[name].content = self.said[name].text = ""
            return
        prompt, inside = self.cursor["prompt"], self.cursor["inside"]
        self.boards["prompt"].content = boards.prompt_board(scene, answer, prompt)
        self.boards["inside"].content = boards.inside_board(scene, answer, inside)
        most = self.explorer.most_connections
        self.said["prompt"].text = words.before(answer, most) if answer else ""
        self.said["inside"].text = words.after(answer, most) if answer else ""
        self.doses.text = words.doses(answer) if answer else ""
        self.lacks.text = " ".join(
            f"No {style.METHODS[one].label}: {why}" for one, why in self.explorer.missing.items()
        )
        self.times.text = f"Dose: {scene.strength:.3g} × the best"
        self.units.set_visibility(scene.method == METHODS[0])
        for part in (self.times, self.slider):
            part.set_visibility(scene.method != TOLD)
        self.details.show(self.explorer, answer)

    def clicked(self, board: str, what: str, number: int) -> None:
        """A click on a connection or a cell of a board."""
        scene = self.scene
        if scene is None:
            return
        if what == "cell":
            self.act(lambda: scene.move(self.end, number))
        else:
            self.act(lambda: (scene.redraw if board == "prompt" else scene.toggle)(number))

    def pressed(self, board: str, key: str, shift: bool) -> None:
        """A key on a board: to another cell, across a connection, or an end of the path."""
        scene, here = self.scene, self.cursor[board]
        if scene is None:
            return
        grid = scene.maze.grid
        if here is None:
            here = self.cursor[board] = scene.maze.number(scene.maze.origin)
        if key in SIDES:
            there = int(grid.neighbours[here, SIDES.index(key)])
            if there >= 0:
                self.cursor[board] = there
                if shift:
                    self.clicked(board, "e", int(grid.connection_of[here, there]))
                    return
            self.draw()
        else:
            end = "origin" if key.lower() == "s" else "target"
            self.act(lambda: scene.move(end, here))

    def left(self, board: str) -> None:
        """The keyboard went elsewhere."""
        if self.cursor[board] is not None:
            self.cursor[board] = None
            self.draw()

    def corridor(self) -> None:
        """A corridor that only the activations will know."""
        if scene := self.scene:
            self.act(lambda: replace(scene, changed=()).corridor(self.rng))

    def undo(self) -> None:
        """Nothing is changed inside the model."""
        if scene := self.scene:
            self.act(lambda: replace(scene, changed=()))

    def random(self) -> None:
        """A random maze of the chosen split, and nothing changed."""
        scene, explorer = self.scene, self.explorer
        if explorer is None:
            return

        def drawn() -> Scene:
            mazes = explorer.mazes(self.split.value)
            maze = mazes[int(self.rng.integers(len(mazes)))]
            return replace(scene, maze=maze, changed=()) if scene else Scene(maze)

        self.act(drawn)

    async def set_method(self, event: events.ValueChangeEventArguments[Any]) -> None:
        """Another method. The mean difference is read from cached activations, which takes a
        second or two. What was clicked meanwhile stays; if it was another run or method, nothing
        is left to do."""
        explorer = self.explorer
        if self.scene is None or explorer is None or self.scene.method == event.value:
            return
        if event.value in ("mean_difference", RANDOM) and event.value not in explorer.missing:
            self.doses.text = "Reading cached activations …"
            try:
                await run.io_bound(lambda: explorer.run.known_arrows)
            except BadInput as error:
                explorer.missing[event.value] = str(error)
        scene = self.scene
        if scene and explorer is self.explorer and self.method.value == event.value:
            self.act(lambda: replace(scene, method=event.value))

    def set_units(self, event: events.ValueChangeEventArguments[Any]) -> None:
        """Another number of latents."""
        if scene := self.scene:
            self.act(lambda: replace(scene, n_units=int(event.value)))

    def set_strength(self) -> None:
        """Another dose."""
        if scene := self.scene:
            self.act(lambda: replace(scene, strength=2.0**self.slider.value))


def serve(artifacts: Path, port: int, show: bool) -> None:
    """Serve the page to this machine until the process is stopped. BadInput if there is no run."""
    explorers = Explorers(artifacts)

    def index() -> None:
        Page(explorers)

    ui.page("/", title="mazewm explorer")(index)
    # so that no other site that a browser shows can reach the page by a name of its own
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    ui.run(host=HOST, port=port, reload=False, show=show, show_welcome_message=False)
