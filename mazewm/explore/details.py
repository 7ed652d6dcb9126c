"""The details below the boards, by NiceGUI. They are computed only while they are open."""

from nicegui import ui

from mazewm.explore import words
from mazewm.explore.answers import Answer, Explorer
from mazewm.explore.inside import Inside, Meanings, look
from mazewm.interventions.edits import NONE
from mazewm.io.errors import BadInput

CHIP = "(e) => { const t = e.target.closest('[data-pos]'); if (t) emit(+t.dataset.pos); }"


class Details:
    """Two parts that open: the probabilities of each step; attention and latents of a token."""

    def __init__(self) -> None:
        self.explorer: Explorer | None = None
        self.answer: Answer | None = None
        self.inside: Inside | None = None
        self.meanings: Meanings | None = None
        self.at = 3  # the last token of the first connection that says which it is
        with ui.element("section").classes("details"):
            self.steps = ui.expansion("How likely is each step?", on_value_change=self.fill)
            with self.steps.classes("steps-open").style("width:100%"):
                self.tables = ui.html("", sanitize=False).classes("scroll")
            self.tokens = (
                ui.expansion(
                    "Which tokens does a token attend to, and which latents are active there?",
                    on_value_change=self.fill,
                )
                .classes("tokens-open")
                .style("width:100%")
            )
            with self.tokens:
                with ui.row().style("align-items:center"):
                    self.layer = ui.select([0], value=0, label="block", on_change=self.fill)
                    self.head = ui.select([0], value=0, label="head", on_change=self.fill)
                    for one in (self.layer, self.head):
                        one.props("dense outlined").style("width:90px")
                    self.chosen = ui.label()
                self.strip = ui.html("", sanitize=False)
                self.strip.on("click", lambda e: self.choose(e.args), js_handler=CHIP)
                self.latents = ui.html("", sanitize=False).classes("scroll")

    def show(self, explorer: Explorer, answer: Answer | None) -> None:
        """Another answer."""
        if explorer is not self.explorer:
            params = explorer.run.model.params
            self.layer.set_options(list(range(params.n_layers)), value=0)
            self.head.set_options(list(range(params.n_heads)), value=0)
            self.meanings = Meanings(explorer)
        self.explorer, self.answer, self.inside = explorer, answer, None
        self.fill()

    def choose(self, at: int) -> None:
        """Another token."""
        self.at = at
        self.fill()

    def fill(self) -> None:
        """Whatever is open."""
        explorer, answer = self.explorer, self.answer
        if explorer is None or answer is None:
            self.tables.content = self.strip.content = self.latents.content = ""
            return
        if self.steps.value:
            tables = words.steps_table("Without a change", answer.before, NONE)
            if answer.scene.changed:
                tables += words.steps_table("With the change", answer.after, answer.scene.method)
            self.tables.content = f'<div class="tables">{tables}</div>'
        if self.tokens.value:
            self.inside = self.inside or look(explorer, answer)
            self._token(self.inside, answer)

    def _token(self, inside: Inside, answer: Answer) -> None:
        at = self.at = min(self.at, len(inside.tokens) - 1)
        self.chosen.text = (
            f"Token {at}, {inside.tokens[at]}: how much it attends to each token, in percent. "
            "Click another token."
        )
        self.strip.content = words.strip(
            inside, at, self.layer.value, self.head.value, answer.scene
        )
        try:
            assert self.meanings
            table = words.latents_table(self.meanings.strongest(inside, at))
        except BadInput as error:
            table = words.problem(str(error))
        self.latents.content = table
