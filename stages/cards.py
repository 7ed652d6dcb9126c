"""Model cards of released runs: the template ``docs/templates/card.j2``, filled from the metrics
and the parameters.
"""

from pathlib import Path
from typing import Any

from mazewm.io.params import read_yaml
from mazewm.run import Run
from stages import fill_docs

TEMPLATE = "card.j2"
# What is written for a connection, and its controls: the beginnings of their names in metrics.
WRITTEN = (
    "latents_",
    "frozen_decoder",
    "residual_dimensions",
    "mean_difference",
    "random_direction",
)


def cards(root: Path = Path()) -> dict[str, str]:
    """The text of each run's card, by the run's name. BadInput if there are no results."""
    params = read_yaml(root / "params.yaml")
    sections = _at_scale(params)
    template = fill_docs.templates(root / fill_docs.TEMPLATES).get_template(TEMPLATE)
    made = {}
    for one in fill_docs.results(root / params["results"])["runs"]:
        run = Run.named(one.name)
        names = {"name": run.name, "encoding": run.encoding, "objective": run.objective}
        about = names | {"seed": run.seed, "summary": one.summary, "spliced": one.spliced}
        place = str(one.summary["writing"]).partition(" ")[0].replace(".", "_")
        about["described"] = one.metrics["sae"][place]["trained"]
        overload = sections["mazes"]["overload"]
        made[one.name] = template.render(
            run=about,
            params=params,
            figures=_figures(one),
            n_overload_connections=fill_docs.connections(overload)[1],
            **{name: sections[name] for name in ("mazes", "transformer", "training", "sae")},
        )
    return made


def _at_scale(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every section, overlaid by that of the chosen scale."""
    scale = params["scales"][params["scale"]]
    return {name: (params.get(name) or {}) | section for name, section in scale.items()}


def _figures(one: fill_docs.Filled) -> list[tuple[str, dict[str, Any]]]:
    """What a card tells of a run: words, and a share with its interval and n."""
    metrics = one.metrics
    behaviour, trained = metrics["behaviour"], metrics["questions"]["test"]["trained"]
    found = [
        ("held-out mazes solved", behaviour["test"]["solved"]),
        ("… with a valid path", behaviour["test"]["valid"]),
        ("overload mazes solved", behaviour["overload"]["solved"]),
        ("all questions about held-out mazes solved", trained["solved"]),
    ]
    for kind, words in (("add", "added"), ("remove", "removed")):
        edits = metrics["interventions"][kind]
        for name in (name for name in edits if name.startswith(WRITTEN)):
            found.append((f"connection {words}, selectivity: {fill_docs.words(name)}", edits[name]))
    return found
