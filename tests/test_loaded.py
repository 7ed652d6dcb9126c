"""A run in one's hands, with a planted model: switching a latent changes the path as the edited
maze says.
"""

import jaxtyping
import numpy as np
import pandas as pd
import pytest
from planted import SITE, random_sae, trees
from planted_edits import TOKENS, WRITING, rows
from toys import wanderer

import mazewm
from mazewm import loaded
from mazewm.inference import rollout
from mazewm.interventions.edits import Condition, Method
from mazewm.interventions.ledger import LedgerRow, UnitRow
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.loaded import LoadedRun, load
from mazewm.localize.locations import Locations
from mazewm.maze import mazes
from mazewm.maze.tokens import PATH_END, Vocabulary
from mazewm.results import TABLES, table_file
from mazewm.run import Run
from stages import release_study


@pytest.fixture
def run(tmp_path):
    """A random model with random latents, on disk."""
    made = LoadedRun.named("rotary-all-0", tmp_path)
    for kind in ("models", "locations", "saes", "interventions"):
        made.folder(kind).mkdir(parents=True)
    model = wanderer("rotary")
    model.save(made.weights)
    mazes.write(made.maze_file("test"), trees(23))
    Locations(SITE, WRITING).save(made.folder("locations"))
    random_sae(model.params.d_model, 47).save(made.folder("saes") / f"{SITE.place}.safetensors")
    units = [
        UnitRow(site, method, e, rank, (3 * e + rank + shift) % 47, 0.1 * rank, 9.0 + e + shift)
        for shift, (site, method) in enumerate(
            [
                (str(SITE), "latents"),
                (str(SITE), "frozen_decoder"),
                ("0.resid_post at ;", "latents"),
            ]
        )
        for e in range(12)
        for rank in range(2)
    ]
    tables.write_rows(table_file(made, "units"), UnitRow, units)
    return load("rotary-all-0", tmp_path)


def with_settings(run, dose, n_latents=2):
    """The run with settings as a ledger would give them."""
    places = {("add", 1): "site", ("remove", 1): "own", ("corridor", 2): "dealt"}
    vars(run)["settings"] = {
        key: Condition(Method("latents", n_latents), WRITING, where, dose)
        for key, where in places.items()
    }
    return run


def test_a_copy_of_what_is_released_of_a_study_solves_and_edits_alike(run, tmp_path):
    tried = rows("latents", 2, 0.5, dose=4.0, split="validation").drop(columns="connection_set")
    tables.write(table_file(run, "ledger"), LedgerRow, dict(tried.items()))
    n_bytes = release_study.copied([Run.named(run.name, tmp_path)], tmp_path / "released")
    there = [path for path in (tmp_path / "released").rglob("*") if path.is_file()]
    assert n_bytes == sum(path.stat().st_size for path in there)
    copy = load(run.name, tmp_path / "released")
    assert copy.settings == run.settings and copy.settings
    maze = run.mazes("test")[0]
    for one in list(run.mazes("test"))[:5]:
        assert copy.solve(one) == run.solve(one)
    new = [absent(maze)]
    assert copy.solve(maze, add=new) == run.solve(maze, add=new)
    run.weights.unlink()
    with pytest.raises(BadInput, match=r"transformer\.safetensors: the file is missing"):
        release_study.copied([Run.named(run.name, tmp_path)], tmp_path / "released")
    assert load(run.name, tmp_path / "released").solve(maze) == copy.solve(maze)


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


def several_absent(maze, n):
    """Connections that the maze has not, with a cell that it mentions each."""
    ends = [
        tuple(tuple(map(int, divmod(int(cell), maze.grid.n))) for cell in maze.grid.ends[number])
        for number in np.flatnonzero(~maze.bits)
    ]
    return ends[:n]


@pytest.mark.parametrize(("n_added", "n_removed"), [(1, 0), (0, 1), (1, 1), (2, 0), (3, 1)])
def test_what_is_switched_on_and_off_is_what_is_written(run, n_added, n_removed, monkeypatch):
    """Weakly written, it changes nothing; strongly, it does."""
    seen = []

    class Spied(loaded.Writer):
        def edit(self, conditions):
            seen.append((self.pairs, conditions))
            return super().edit(conditions)

    monkeypatch.setattr(loaded, "Writer", Spied)
    changed = 0
    for maze in list(run.mazes("test"))[:6]:
        added, removed = several_absent(maze, n_added), list(maze.connections[:n_removed])
        plain = run.solve(maze).path
        weak, strong = (
            with_settings(run, dose).solve(maze, add=added, remove=removed) for dose in (1e-6, 90.0)
        )
        assert weak.path == plain and weak.maze == maze
        changed += strong.path != plain
        pairs, conditions = seen[-1]
        assert pairs.added.tolist() == [[maze.connection(*pair) for pair in added]]
        assert pairs.removed.tolist() == [[maze.connection(*pair) for pair in removed]]
        expected = {0: [], 1: ["site"]}.get(n_added, ["dealt"]) + ["own"] * n_removed
        assert [one.where for one in conditions] == expected
    assert changed >= 2 or (n_added, n_removed) == (0, 1)


def test_the_latents_are_those_of_the_writing_sites_source(run):
    [(name, known)] = run.known.items()
    one = known.dictionaries["latents"]
    assert name == str(SITE) and one.sae is run.sae
    assert one.units.ids.tolist() == [[3 * e, 3 * e + 1] for e in range(12)]
    assert one.mean_on.tolist() == [[9.0 + e] * 2 for e in range(12)]


def test_several_are_written_as_the_nearest_number_that_was_tried(run):
    def of(k):
        return Condition(Method("latents", 1), WRITING, "dealt", float(k))

    vars(run)["settings"] = {("corridor", k): of(k) for k in (1, 2, 6)}
    assert [loaded.conditions_of(run.settings, n, 0)[0].dose for n in (2, 3, 4, 5, 9)] == [
        2,
        2,
        2,
        6,
        6,
    ]
    vars(run)["settings"] = {("corridor", 1): of(1)}
    with pytest.raises(BadInput, match=r"^add: expected one connection, found 2; .*corridors.*\.$"):
        maze = run.mazes("test")[3]
        run.solve(maze, add=several_absent(maze, 2))


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
    def tried(method, n_units, hit, dose, split="validation", **others):
        return rows(method, n_units, hit, dose=dose, split=split, **others)

    made = pd.concat(
        [
            tried("latents", 3, 0.7, 2.0),
            tried("latents", 3, 0.6, 4.0),
            tried("latents", 1, 0.3, 1.0),
            tried("latents", 1, 1.0, 4.0, split="test"),
            tried("latents", 1, 1.0, 4.0, where="one"),
            tried("latents", 1, 1.0, 4.0).assign(place="1.resid_post"),
            tried("latents", 1, 1.0, 4.0).assign(tokens="c2"),
            tried("mean_difference", 0, 1.0, 4.0),
            tried("latents", 1, 0.5, 1.0, kind="remove"),
            tried("latents", 3, 0.5, 2.0, kind="remove"),
            tried("latents", 3, 0.9, 2.0, kind="remove", where="site"),
            tried("latents", 1, 0.4, 8.0, kind="corridor", k=2),
            tried("latents", 3, 0.4, 1.0, kind="corridor", k=4),
            tried("latents", 3, 0.9, 1.0, kind="single", k=4),
        ]
    )
    assert TOKENS["site"] in set(made.tokens)
    vars(run)["table"] = {"ledger": made}.__getitem__
    assert run.settings == {
        ("add", 1): Condition(Method("latents", 3), WRITING, "site", 2.0),
        ("remove", 1): Condition(Method("latents", 1), WRITING, "own", 1.0),
        ("corridor", 2): Condition(Method("latents", 1), WRITING, "dealt", 8.0),
        ("corridor", 4): Condition(Method("latents", 3), WRITING, "dealt", 1.0),
    }


def test_a_token_that_is_no_cell_ends_the_walk(run):
    cells = np.array([4, 1, rollout.NO_CELL, 3])
    assert run._answer(run.mazes("test")[0], cells).path == ((1, 1), (0, 1))
    assert Vocabulary(3).first_cell > PATH_END
