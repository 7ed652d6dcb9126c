"""Mazes that maze-dataset reads are the same mazes, with the same paths."""

import sys
import warnings
import zipfile

import numpy as np
import pytest
from export.planted_export import some_mazes

from mazewm.export import datasets
from mazewm.io.errors import BadInput
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from maze_dataset import MazeDataset
except ImportError:
    MazeDataset = None

pytestmark = pytest.mark.filterwarnings("ignore::Warning")
with_mazes = pytest.mark.skipif(
    MazeDataset is None, reason="maze-dataset, an optional peer, is not installed"
)


def corner(grid):
    """A maze with one connection, in the last row of a lattice."""
    bits, path = np.zeros((1, grid.n_connections), bool), np.full((1, 2), grid.n_cells - 1)
    bits[0, -1], path[0, 0] = True, grid.n_cells - 2
    return Mazes(grid, np.arange(1), np.array(["corner"]), bits, path[:, 0], path[:, 1], path)


@with_mazes
@pytest.mark.parametrize("n", [17, 131, 301])  # it stores few, many, and long lists each otherwise
def test_mazes_and_paths_are_the_same(tmp_path, n):
    mazes = some_mazes()[:n]
    assert len(mazes) == n
    datasets.export_mazes(mazes, "mazewm-test", tmp_path / "test.zanj")
    read = MazeDataset.read(tmp_path / "test.zanj")
    assert isinstance(read, MazeDataset) and len(read) == read.cfg.n_mazes == n
    assert (read.cfg.name, read.cfg.grid_n) == ("mazewm-test", mazes.grid.n)
    for ours, theirs in zip(mazes, read, strict=True):
        pairs = {frozenset(map(tuple, pair)) for pair in theirs.as_adj_list().tolist()}
        assert pairs == {frozenset(pair) for pair in ours.connections}
        assert tuple(map(tuple, theirs.solution.tolist())) == ours.path
        assert tuple(theirs.start_pos.tolist()) == ours.origin
        assert tuple(theirs.end_pos.tolist()) == ours.target
    about = read.generation_metadata_collected
    assert list(about["maze_id"]) == mazes.maze_id.tolist()
    assert list(about["family"]) == mazes.family.tolist()


@with_mazes
def test_the_file_has_no_pickle(tmp_path):
    datasets.export_mazes(some_mazes(), "mazewm-test", tmp_path / "test.zanj")
    with zipfile.ZipFile(tmp_path / "test.zanj") as archive:
        names = archive.namelist()
        assert {name.rpartition(".")[2] for name in names} == {"json", "npy"}
        for name in (name for name in names if name.endswith(".npy")):
            with archive.open(name) as file:
                np.load(file, allow_pickle=False)


@with_mazes
def test_the_library_does_not_hand_out_other_mazes_for_the_configuration(tmp_path):
    config = datasets.maze_dataset_of(some_mazes()[:3], "mazewm-test").cfg
    with pytest.raises(ValueError, match="custom filter"):
        MazeDataset.from_config(config, load_local=False, save_local=False, do_download=False)


@with_mazes
def test_a_lattice_beyond_their_integers_is_refused(tmp_path):
    largest = datasets.solved_mazes(corner(lattice(128)))[0]
    assert largest.solution.tolist() == [[127, 126], [127, 127]]
    assert largest.nodes_connected(*largest.solution)
    with pytest.raises(BadInput, match=r"^mazes: expected [^\n]+ 128x128, [^\n]+ 129x129\.$"):
        datasets.solved_mazes(corner(lattice(129)))


def test_a_file_of_another_name_or_that_is_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"test\.json: expected [^\n]+ ends with \.zanj\.$"):
        datasets.export_mazes(some_mazes(), "mazewm-test", tmp_path / "test.json")
    assert not list(tmp_path.iterdir())


def test_without_the_library_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "maze_dataset", None)
    with pytest.raises(BadInput, match=r"^maze-dataset: not installed[^\n]+ make env-peers [^\n]+"):
        datasets.export_mazes(some_mazes(), "mazewm-test", tmp_path / "test.zanj")
    assert not list(tmp_path.iterdir())
