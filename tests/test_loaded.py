"""A run in one's hands, with a planted model: switching a latent changes the path as the edited
maze says.
"""

import jaxtyping
import numpy as np
import pandas as pd
import pytest
from planted import SITE, random_sae, trees
from toys import wanderer

import mazewm
from mazewm.features.ranking import LatentRow
from mazewm.inference import rollout
from mazewm.interventions.conditions import Condition
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.loaded import LoadedRun, load
from mazewm.localize.locations import Locations
from mazewm.maze import mazes
from mazewm.maze.tokens import PATH_END, Vocabulary
from mazewm.results import TABLES, table_file
from mazewm.run import Run


@pytest.fixture
def run(tmp_path):
    """A random model with random latents, on disk."""
    made = LoadedRun.named("rotary-all-0", tmp_path)
    for kind in ("models", "activations", "saes", "features", "interventions"):
        made.folder(kind).mkdir(parents=True)
    model = wanderer("rotary")
    model.save(made.weights)
    mazes.write(made.maze_file("test"), trees(23))
    Locations(SITE, SITE).save(made.folder("activations"))
    random_sae(model.params.d_model, 47).save(made.folder("saes") / f"{SITE.place}.safetensors")
    rows = [
        LatentRow(str(SITE), e, rank, (3 * e + rank) % 47, 9.0, 0.0, 1.0)
        for e in range(12)
        for rank in range(2)
    ]
    tables.write_rows(table_file(made, "latents"), LatentRow, rows)
    return load("rotary-all-0", tmp_path)


def with_settings(run, dose, where="all", n_latents=2):
    """The run with settings as a ledger would give them."""
    vars(run)["settings"] = {
        "add": Condition("latents", where, n_latents, dose),
        "remove": Condition("latents", "own", n_latents, dose),
    }
    return run


def absent(maze):
    """A connection that the maze has not."""
    number = int(np.flatnonzero(~maze.bits)[0])
    return tuple(tuple(map(int, divmod(int(cell), maze.grid.n))) for cell in maze.grid.ends[number])


def test_the_walk_of_a_maze_is_that_of_its_batch(run):
    for maze in list(run.mazes("test"))[:5]:
        answer = run.solve(maze)
        assert answer.maze == maze and answer.is_right == (answer.path == maze.path)
        assert run.solve(maze) == answer, "the same seed gives the same prompt"


def test_a_switch_that_is_strong_enough_changes_what_is_written(run):
    some = list(run.mazes("test"))[:12]
    weak, strong = (
        [with_settings(run, dose).solve(maze, add=[absent(maze)]).path for maze in some]
        for dose in (1e-6, 50.0)
    )
    plain = [run.solve(maze).path for maze in some]
    assert plain == weak and plain != strong


def test_one_connection_can_be_switched_off_or_moved(run):
    maze = max(run.mazes("test"), key=lambda one: len(one.path))
    step = maze.path[:2]
    plain = run.solve(maze).path
    for edit in ({"remove": [step]}, {"remove": [step], "add": [absent(maze)]}):
        assert with_settings(run, 1e-6).solve(maze, **edit).path == (
            plain if "add" not in edit else plain
        )


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda maze: {"add": [maze.connections[0]]}, "has it"),
        (lambda maze: {"remove": [absent(maze)]}, "does not have it"),
        (lambda maze: {"add": [((0, 0), (2, 2))]}, "next to each other"),
        (lambda maze: {"remove": maze.connections[:2]}, "one connection removed at most"),
    ],
)
def test_what_cannot_be_switched_is_refused(run, edit, says):
    maze = run.mazes("test")[3]
    with pytest.raises(BadInput, match=says):
        with_settings(run, 1.0).solve(maze, **edit(maze))


@pytest.mark.parametrize("what", ["add", "remove"])
def test_a_bare_pair_instead_of_a_list_of_pairs_is_refused(run, what, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as where no test is run
    with pytest.raises(BadInput, match=rf"^{what}: expected connections [^\n]+, found \(1, 0\)\.$"):
        run.solve(run.mazes("test")[0], **{what: ((1, 0), (1, 1))})


@pytest.mark.parametrize("name", ["rotary-all-007", "rotary-all-00", "rotary-all-٣"])
def test_a_run_has_one_name(name):
    with pytest.raises(BadInput, match=f"^run: expected [^\n]+ found '{name}'\\.$"):
        Run.named(name)
    assert Run.named("rotary-all-7").name == "rotary-all-7"


def test_a_table_that_no_run_has_is_refused_with_the_names_of_those_it_has(run):
    for asked in (lambda: table_file(run, "no_such"), lambda: run.table("no_such")):
        with pytest.raises(
            BadInput, match="^table 'no_such': expected one of [^\n]+\\.$"
        ) as refused:
            asked()
        assert all(name in str(refused.value) for name in TABLES)


def test_a_maze_of_another_lattice_and_a_run_that_is_not_there_are_refused(run, tmp_path):
    other = mazewm.Maze.of(4, [((0, 0), (0, 1))], (0, 0), (0, 1))
    with pytest.raises(BadInput, match="3x3 lattice"):
        run.solve(other)
    with pytest.raises(BadInput, match="learned-all-0"):
        mazewm.load("learned-all-0", tmp_path)
    with pytest.raises(BadInput, match="ENCODING-OBJECTIVE-SEED"):
        mazewm.load("learned-0", tmp_path)


def test_the_settings_are_the_best_on_validation_mazes(run):
    def rows(
        kind, where, n_latents, dose, n_follow, split="validation", site=str(SITE), method="latents"
    ):
        return [
            {
                "kind": kind,
                "where": where,
                "n_latents": n_latents,
                "dose": dose,
                "split": split,
                "site": site,
                "method": method,
                "solved_before": True,
                "follows_edit": nth < n_follow,
                "connection_set": nth,
            }
            for nth in range(10)
        ]

    made = [
        *rows("add", "all", 4, 2.0, 7),
        *rows("add", "all", 1, 1.0, 3),
        *rows("add", "borrowed", 1, 4.0, 10, split="test"),
        *rows("add", "all", 16, 4.0, 9, method="random_latents"),
        *rows("add", "all", 16, 4.0, 9, site="elsewhere"),
        *rows("remove", "own", 1, 1.0, 5),
        *rows("remove", "own", 4, 2.0, 5),
    ]
    vars(run)["table"] = lambda name: pd.DataFrame(made)
    assert run.settings == {
        "add": Condition("latents", "all", 4, 2.0),
        "remove": Condition("latents", "own", 1, 1.0),
    }


def test_a_token_that_is_no_cell_ends_the_walk(run):
    cells = np.array([4, 1, rollout.NO_CELL, 3])
    assert run._answer(run.mazes("test")[0], cells).path == ((1, 1), (0, 1))
    assert Vocabulary(3).first_cell > PATH_END
