"""All interventions on one run: examples of every kind, directions at every location, and the
ledger of what happened.
"""

from mazewm import results
from mazewm.counterfactuals import examples
from mazewm.counterfactuals.examples import Examples
from mazewm.interventions import design
from mazewm.interventions.design import InterventionParams
from mazewm.interventions.directions import Directions, directions_at
from mazewm.interventions.ledger import Ledger, n_steps, run_interventions
from mazewm.io.errors import BadInput
from mazewm.io.progress import console, progress
from mazewm.io.streams import stream
from mazewm.localize.activations import read
from mazewm.localize.locations import Locations
from mazewm.maze.tokens import prompt_length
from mazewm.model.transformer import Transformer
from mazewm.run import Run
from mazewm.sae.files import load_sae


def intervene(run: Run, params: InterventionParams) -> Ledger:
    """Run every condition on examples from validation mazes, where settings are later chosen, and
    from test mazes, on which results are reported.

    BadInput if the mazes have no example of some kind, or if edited mazes would not fit into the
    model's context."""
    model = Transformer.load(run.weights)
    known = _known(run, model, params)
    asked = _examples(run, model, params)
    batches = progress("interventions", n_steps(asked, known, params))
    ledger = run_interventions(model, asked, known, params, run.seed, batches.advance)
    console.print(
        f"{len(ledger):,} interventions on {sum(len(one) for _, one in asked):,} examples"
    )
    return ledger


def _known(run: Run, model: Transformer, params: InterventionParams) -> list[Directions]:
    """Directions at the writing site, which is the main one, and at the other studied locations."""
    ranked, grid = results.table(run, "latents"), run.mazes("test").grid
    locations = Locations.load(run.folder("activations"), model.params.n_layers)
    found = []
    for each in dict.fromkeys([locations.writing, *locations.studied]):
        sae = load_sae(run, each.place)
        tokens = read(run.folder("activations") / "trained" / "train" / str(each.place)).at(
            each.token_class
        )
        found.append(
            directions_at(
                each, each == locations.writing, sae, ranked, tokens, grid, params.set_sizes
            )
        )
    return found


def _examples(
    run: Run, model: Transformer, params: InterventionParams
) -> list[tuple[str, Examples]]:
    """Examples of every kind, each with the split that it is from."""
    most = int(run.mazes("train").n_connections.max())
    asked: list[tuple[str, Examples]] = []
    sizes = {"validation": params.n_per_connection_validation, "test": params.n_per_connection}
    for split, n in sizes.items():
        mazes, rng = run.mazes(split), stream(f"interventions: {split}", run.seed)
        _check_context(
            run, model, most + max(params.n_added), mazes.grid.n_connections, mazes.grid.n_cells
        )
        pool = examples.with_new_ends(mazes, rng, params.n_redrawn)
        some = [examples.additions(pool, rng, n), examples.removals(pool, rng, n, most)]
        if split == "test":
            some.append(examples.moves(pool, rng, n))
            # There may be no examples for some numbers: small mazes have few absent connections
            # between cells that they mention.
            some += [examples.several(pool, rng, k, params.n_several, most) for k in params.n_added]
            some += [
                examples.overload(pool, rng, k, params.n_several, most)
                for k in (0, *params.n_added)
            ]
        design.check_every_kind(some, run.maze_file(split))
        asked += [(split, one) for one in some if len(one)]
    return asked


def _check_context(
    run: Run, model: Transformer, n_most: int, n_connections: int, n_cells: int
) -> None:
    longest = prompt_length(min(n_most, n_connections)) + n_cells + 1
    if longest > model.n_ctx:
        raise BadInput(
            f"{run.weights}: n_ctx: expected at least {longest} to hold the longest edited maze, "
            f"found {model.n_ctx}."
        )
