"""What is said about an answer: sentences below the boards, and HTML of the details."""

from html import escape

import numpy as np

from mazewm.explore.answers import Answer, Walk, wrong_steps
from mazewm.explore.inside import ActiveLatent, Inside
from mazewm.explore.scene import Scene
from mazewm.figures.style import METHODS
from mazewm.interventions.edits import TOLD
from mazewm.maze.maze import Cell, Maze


def _steps(path: tuple[Cell, ...]) -> str:
    n = max(0, len(path) - 1)
    return "one step" if n == 1 else f"{n} steps"


def _instead(maze: Maze, path: tuple[Cell, ...]) -> str:
    """What a path that is not the expected one does."""
    n_wrong, n = int(wrong_steps(maze, path).sum()), max(0, len(path) - 1)
    how = f"takes {_steps(path)}"
    if n_wrong:
        how += f", {'all' if n_wrong == n else n_wrong} of them through walls"
    reached = bool(path) and path[-1] == maze.target
    return f"{how}, and {'comes to T' if reached else 'does not come to T'}"


def _beyond(prompt: Maze, most_connections: int) -> str:
    """A remark on a prompt that is longer than those of training."""
    n = int(prompt.bits.sum())
    said = f" (Training mazes have at most {most_connections} connections, this prompt {n}.)"
    return said if n > most_connections else ""


def before(answer: Answer, most_connections: int) -> str:
    """The sentence below the prompt."""
    maze, path = answer.scene.maze, answer.before.path
    rest = _beyond(maze, most_connections)
    if not maze.path:
        return f"In the prompt no way leads from S to T. Asked, the model {_instead(maze, path)}."
    if path == maze.path and maze.has_one_path:
        return f"Asked for the way from S to T, the model walks the shortest path.{rest}"
    several = "" if maze.has_one_path else "Several paths are shortest. "
    return f"{several}Asked for the way from S to T, the model {_instead(maze, path)}.{rest}"


def after(answer: Answer, most_connections: int) -> str:
    """The sentence below what is believed."""
    scene, edited, path = answer.scene, answer.scene.edited, answer.after.path
    if not scene.changed:
        return "Nothing is changed. Click a wall or a connection on this board."
    where = "in the prompt" if scene.method == TOLD else "inside the model; the prompt is the same"
    n = len(scene.changed)
    what = f"{n} connection{'s' * (n != 1)} changed {where}. "
    rest = _beyond(edited, most_connections) if scene.method == TOLD else ""
    if not edited.path:
        return f"{what}In the changed maze no way leads to T; the model {_instead(edited, path)}."
    if not edited.has_one_path:
        return (
            f"{what}The changed maze has several shortest paths; it {_instead(edited, path)}.{rest}"
        )
    if path != edited.path:
        return (
            f"{what}The model {_instead(edited, path)}: not the changed maze's shortest path.{rest}"
        )
    if path == answer.before.path:
        return f"{what}The path stays, as the changed maze predicts."
    return f"{what}The model walks {_steps(path)}, just as the changed maze predicts."


def problem(sentence: str) -> str:
    """What is wrong, as HTML."""
    return f'<p class="problem">{escape(sentence)}</p>'


def doses(answer: Answer) -> str:
    """With which dose a change was made."""
    said = []
    for one in answer.doses:
        n = one.method.n_units
        units = f"{n} latent{'s' * (n != 1)} each, " if n else ""
        verb = "removes" if one.where == "own" else "adds"
        said.append(
            f"{verb} at {one.tokens} after block {one.site.layer}: {units}dose {one.dose:g}"
        )
    return "; ".join(said)


def steps_table(title: str, walk: Walk, method: str) -> str:
    """The likeliest next tokens of each step, as bars."""
    colour, rows = METHODS[method].colour, []
    for step in walk.steps:
        bars = "".join(
            f'<td><span class="bar" style="width:{max(2, 46 * p):.0f}px;background:{colour}">'
            f"</span>{escape(token)} {100 * p:.1f} %</td>"
            for token, p in step.likeliest
        )
        rows.append(f"<tr><th>{escape(step.after)}</th>{bars}</tr>")
    return (
        f'<table class="steps"><caption>{escape(title)}</caption><tr><th>after</th>'
        f'<th colspan="3">likeliest next tokens</th></tr>{"".join(rows)}</table>'
    )


def strip(inside: Inside, at: int, layer: int, head: int, scene: Scene) -> str:
    """All tokens, the darker the more the chosen one attends to them; below each the share with
    the change and, where it differs, without."""
    after, plain = (some[layer, head, at] for some in (inside.attention, inside.attention_before))
    red, green, blue = (int(METHODS[scene.method].colour[i : i + 2], 16) for i in (1, 3, 5))
    chips = []
    for nth, token in enumerate(inside.tokens):
        share = float(after[nth])
        ink = "white" if share > 0.55 else "black"
        differs = abs(share - float(plain[nth])) >= 0.005
        said = f"{100 * share:.0f}" if share >= 0.005 or differs else ""
        if differs:
            said += f" (was {100 * float(plain[nth]):.0f})"
        mark = " chosen" if nth == at else ""
        chips.append(
            f'<span class="chip{mark}" data-pos="{nth}" style="background:rgba({red},{green},'
            f'{blue},{share:.3f});color:{ink}">{escape(token)}<small>{said}</small></span>'
        )
    return f'<div class="strip">{"".join(chips)}</div>'


def latents_table(latents: list[ActiveLatent]) -> str:
    """The strongest latents of a token."""
    if not latents:
        return "<p>No latent is active at this token.</p>"
    most = max(max(one.value, one.value_before) for one in latents)
    colour, rows = METHODS["latents"].colour, []
    for one in latents:
        bar = (
            f'<span class="bar" style="width:{np.ceil(60 * one.value / most):.0f}px;'
            f'background:{colour}"></span>'
        )
        of = f"{one.kind}: {one.of}" if one.of else one.kind
        also = ", ".join(one.connections)
        trees = ", ".join(one.trees)
        rows.append(
            f"<tr><th>{one.latent}</th><td>{bar}{one.value:.1f}</td><td>{one.value_before:.1f}</td>"
            f"<td>{escape(of)} (F1 {one.f1:.2f})</td><td>{escape(also)}</td>"
            f"<td>{escape(trees)}</td></tr>"
        )
    return (
        '<table class="latents"><tr><th>latent</th><th>now</th><th>unchanged</th>'
        "<th>stands for</th><th>ranked for connections</th><th>asked for by the trees of</th></tr>"
        f"{''.join(rows)}</table>"
    )
