"""Cached activations: every token once, labelled as the drawings say, shuffled alike at every
place, refused when spoilt.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from toys import HOOK, LADDER, batch, draw, tiny

from mazewm.inference.edits import run
from mazewm.inference.subject import Subject
from mazewm.io import tables, vectors
from mazewm.io.errors import BadInput
from mazewm.localize import activations
from mazewm.localize.locations import Location, Locations, WritingSite
from mazewm.localize.rounding import MOST_ROUNDING, Rounding
from mazewm.maze.tokens import TokenClass, Vocabulary, token_classes
from mazewm.model.sites import Place, Site

SHORT = draw("""
    o-o-o
    |   |
    o-O-T
    |
    o o o
""")
DRAWINGS = {101: HOOK, 53: LADDER, 7: SHORT}  # 8, 7 and 7 connections; paths of 9, 4 and 2 cells
MAZES = replace(batch(*DRAWINGS.values()), maze_id=np.array(list(DRAWINGS)))
MODEL = tiny("learned", d_vocab=len(Vocabulary(3)), n_ctx=Vocabulary(3).max_length)
EARLY, LATE = Place(0, Site.RESID_POST), Place(1, Site.RESID_MID)
CLASSES = list(TokenClass)
N_TOKENS = (4 * 8 + 9 + 9 + 1) + (4 * 7 + 9 + 4 + 1) + (4 * 7 + 9 + 2 + 1)


def write(folder, places=(EARLY,), classes=CLASSES, seed=0, n_batch=5):
    wanted = activations.Wanted(list(places), list(classes))
    return activations.cache(folder, Subject(MODEL, MAZES, seed, n_batch), wanted)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cached")
    assert write(folder, (EARLY, LATE)) == N_TOKENS
    return folder


def sequence_of(rows, maze_id):
    """What is cached of one maze, in reading order: (position, token name, class, connection)."""
    mine = np.flatnonzero(rows.maze_id == maze_id)
    mine = mine[np.argsort(rows.position[mine])]
    names = Vocabulary(3).names
    return [
        (
            int(rows.position[i]),
            names[rows.token[i]],
            str(rows.token_class[i]),
            int(rows.connection[i]),
        )
        for i in mine
    ]


def spelled_by_hand(drawing, found):
    """The sequence that a drawing has, its connections in the order and direction that was
    found."""
    every = [((r, c), (r + 1, c)) for r in range(2) for c in range(3)] + [
        ((r, c), (r, c + 1)) for r in range(3) for c in range(2)
    ]
    number = {frozenset(pair): nth for nth, pair in enumerate(every)}
    name = {(r, c): f"({r},{c})" for r in range(3) for c in range(3)}
    cell = {text: at for at, text in name.items()}
    rows, left = [("<ADJLIST_START>", "frame", -1)], set(drawing.pairs)
    for nth in range(len(drawing.pairs)):
        a, b = (found[4 * nth + k][1] for k in (1, 3))
        pair = frozenset((cell[a], cell[b]))
        left.remove(pair)  # is there, and not yet encoded
        rows += [
            (text, c, number[pair])
            for text, c in ((a, "c1"), ("<-->", "<-->"), (b, "c2"), (";", ";"))
        ]
    assert not left
    frame = [
        "<ADJLIST_END>",
        "<ORIGIN_START>",
        name[drawing.origin],
        "<ORIGIN_END>",
        "<TARGET_START>",
        name[drawing.target],
    ]
    rows += [(text, "frame", -1) for text in (*frame, "<TARGET_END>", "<PATH_START>")]
    [path] = drawing.shortest_paths()
    rows += [(text, "path", -1) for text in (*(name[at] for at in path), "<PATH_END>")]
    return [(position, *row) for position, row in enumerate(rows)]


@pytest.mark.parametrize("maze_id", DRAWINGS)
def test_labels_are_those_of_the_drawing(cached, maze_id):
    rows = activations.read(cached / str(EARLY))
    found = sequence_of(rows, maze_id)
    assert found == spelled_by_hand(DRAWINGS[maze_id], found)


def test_every_token_stands_once_and_no_padding(cached):
    rows = activations.read(cached / str(EARLY))
    assert len(rows.values) == N_TOKENS
    assert len({*zip(rows.maze_id.tolist(), rows.position.tolist(), strict=True)}) == N_TOKENS
    assert 0 not in rows.token


def test_the_same_rows_at_every_place(cached):
    one, other = (activations.read(cached / str(place)) for place in (EARLY, LATE))
    for a, b in zip(one[1:], other[1:], strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(one.values, other.values)


def test_mazes_and_positions_are_mixed(cached):
    rows = activations.read(cached / str(EARLY))
    assert set(rows.maze_id[:20].tolist()) == set(DRAWINGS)
    assert 0.35 < (np.diff(rows.position) > 0).mean() < 0.65
    assert 0.2 < (np.diff(rows.maze_id) == 0).mean() < 0.5


@pytest.mark.parametrize("place", [EARLY, LATE], ids=str)
def test_values_are_what_the_model_holds(cached, place):
    """The sequences, rebuilt from the labels, run through the model in the batches that were
    cached."""
    rows = activations.read(cached / str(place))
    assert rows.values.dtype == np.float16 and rows.values.shape == (N_TOKENS, 30)
    for group in ([53, 7], [101]):
        here = [rows.maze_id == maze for maze in group]
        length = 1 + max(int(rows.position[at].max()) for at in here)
        sequences = np.zeros((len(group), length), np.int64)
        for sequence, at in zip(sequences, here, strict=True):
            sequence[rows.position[at]] = rows.token[at]
        with torch.inference_mode():
            held = (
                run(MODEL, torch.from_numpy(sequences), record=[place]).values[place].half().numpy()
            )
        for values, at in zip(held, here, strict=True):
            assert np.array_equal(rows.values[at], values[rows.position[at]])


def with_bias(size):
    """The model with one bias of the first MLP that much larger, and what that adds to."""
    model = tiny("learned", d_vocab=len(Vocabulary(3)), n_ctx=Vocabulary(3).max_length)
    with torch.no_grad():
        model.layers[0].mlp.b_out[4] += size
    return model


@pytest.mark.parametrize("size", [3_000.0, 1e5])
def test_activations_that_float16_cannot_hold_are_stored_as_float32(tmp_path, capsys, size):
    """In float16, two values of the dimension would remain, or infinity only."""
    model, place = with_bias(size), Place(0, Site.RESID_POST)
    wanted = activations.Wanted([place, Place(0, Site.RESID_PRE)], CLASSES)
    subject = Subject(model, MAZES, 0, 5)
    activations.cache(tmp_path / "trained" / "test", subject, wanted)
    found = activations.read(tmp_path / "trained" / "test" / str(place))
    assert found.values.dtype == np.float32
    exact = np.concatenate(
        [r.values[place].numpy()[r.encoded.tokens > 0] for r in subject.record([place], whole=True)]
    )
    assert np.array_equal(np.sort(found.values[:, 4]), np.sort(exact[:, 4]))
    assert len(np.unique(found.values[:, 4])) > 20
    # each place by itself
    before = activations.read(tmp_path / "trained" / "test" / "0.resid_pre")
    assert before.values.dtype == np.float16
    assert "trained, test: float16 is too coarse" in capsys.readouterr().err


def test_activations_beyond_all_precisions_are_refused(tmp_path):
    model = with_bias(3e38)
    with torch.no_grad():
        model.layers[1].mlp.b_out[4] += 3e38
    subject = Subject(model, MAZES, 0, 5)
    with pytest.raises(BadInput, match=r"activations at 1\.resid_post, found \d+ of"):
        activations.cache(
            tmp_path / "test", subject, activations.Wanted([Place(1, Site.RESID_POST)], CLASSES)
        )
    assert list(tmp_path.iterdir()) == []


def rounding_of(*parts):
    rounding = Rounding()
    for part in parts:
        rounding.add(torch.from_numpy(part), torch.from_numpy(part).half())
    return rounding


def test_what_float16_can_hold():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 3)).astype(np.float32)
    assert not rounding_of(x[:10], x[10:]).is_too_coarse
    assert not rounding_of(1000 * x).is_too_coarse
    # Numbers next to 1,000 are 0.5 apart: rounded, each is off by 0.14 of a standard deviation.
    assert rounding_of(x + np.float32([0, 1000, 0])).is_too_coarse
    # A constant is off by the same in every vector; nothing that varies is lost.
    assert not rounding_of(x * [1, 0, 1] + np.float32([0, 3000.3, 0])).is_too_coarse
    # Only one value of the last part overflows.
    x[-1, 2] = 70_000
    assert rounding_of(x[:500], x[500:]).is_too_coarse
    assert rounding_of(1e-7 * x[:-1]).is_too_coarse


@pytest.mark.parametrize("seed", range(40))
def test_what_float16_can_hold_is_what_its_errors_are(seed):
    rng = np.random.default_rng(seed)
    offset, size = 10 ** rng.uniform(-2, 4, 2), 10 ** rng.uniform(-5, 2, 2)
    x = (offset + size * rng.normal(size=(50, 2))).astype(np.float32)
    error = x.astype(np.float16).astype(np.float64) - x
    share = error.std(axis=0) / x.astype(np.float64).std(axis=0)
    cut = rng.integers(1, 49)
    assert rounding_of(x[:cut], x[cut:]).is_too_coarse == (share > MOST_ROUNDING).any()


def test_the_same_seed_gives_the_same_bytes(tmp_path, cached):
    write(tmp_path / "again", (EARLY, LATE))
    write(tmp_path / "other", (EARLY,), seed=1)
    for place in (EARLY, LATE):
        name = f"{place}/activations.parquet"
        assert (tmp_path / "again" / name).read_bytes() == (cached / name).read_bytes()
    rows, other = (
        activations.read(cached / str(EARLY)),
        activations.read(tmp_path / "other" / str(EARLY)),
    )
    assert not np.array_equal(rows.position, other.position)


def test_only_the_classes_asked_for(tmp_path):
    assert write(tmp_path, classes=[TokenClass.C2, TokenClass.PATH]) == (8 + 7 + 7) + (10 + 5 + 3)
    rows = activations.read(tmp_path / str(EARLY))
    assert set(rows.token_class) == {"c2", "path"}
    assert ((rows.position - 3) % 4 == 0)[rows.token_class == "c2"].all()
    at = rows.at(TokenClass.C2)
    assert len(at.values) == 22 and set(at.token_class) == {"c2"} and (at.connection >= 0).all()
    assert np.array_equal(at.values, rows.values[rows.token_class == "c2"])


def in_memory(places, classes, seed, n_batch):
    """Every token's labels by name, and its values at each place, shuffled, with nothing but lists
    to hold them."""
    rows, values = [], {place: [] for place in places}
    for recorded in Subject(MODEL, MAZES, seed, n_batch).record(places, whole=True):
        n, order = recorded.encoded.n_connections, recorded.encoded.order
        for i, maze in enumerate(recorded.mazes):
            for position, token in enumerate(recorded.encoded.tokens[i]):
                token_class = token_classes(n, position + 1)[-1]
                if token == 0 or token_class not in classes:
                    continue
                connection = order[i, (position - 1) // 4] if 0 < position <= 4 * n else -1
                rows.append((MAZES.maze_id[maze], position, token, str(token_class), connection))
                for place in places:
                    values[place].append(recorded.values[place][i, position].half().numpy())
    shuffle = np.random.default_rng([seed, len(rows)]).permutation(len(rows))
    names = ("maze_id", "position", "token", "token_class", "connection")
    labels = {
        name: np.array(column)[shuffle]
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }
    return labels, {place: np.stack(kept)[shuffle] for place, kept in values.items()}


@pytest.mark.parametrize("classes", [CLASSES, [TokenClass.PATH, TokenClass.C2]], ids=["all", "two"])
def test_what_is_written_is_what_memory_holds(tmp_path, classes):
    wide = Place(0, Site.MLP_POST)
    n = write(tmp_path / "streamed", (EARLY, wide), classes, 3, 2)
    labels, values = in_memory((EARLY, wide), classes, 3, 2)
    for place in (EARLY, wide):
        found = activations.read(tmp_path / "streamed" / str(place))
        assert len(found.values) == n and np.array_equal(found.values, values[place])
        for name, column in labels.items():
            assert np.array_equal(getattr(found, name), column)
        kept = sorted(path.name for path in (tmp_path / "streamed" / str(place)).iterdir())
        assert kept == ["activations.parquet"]


def test_no_scratch_is_left_behind(tmp_path, monkeypatch):
    write(tmp_path / "whole" / "train")
    assert [path.name for path in (tmp_path / "whole").iterdir()] == ["train"]
    seen = []

    def fails(path, *args, **options):
        seen.extend(other.name for other in tmp_path.joinpath("broken").rglob("*.npy"))
        raise OSError("no space left on device")

    monkeypatch.setattr(vectors, "write", fails)
    with pytest.raises(OSError, match="no space left"):
        write(tmp_path / "broken" / "train", (EARLY, LATE))
    assert sorted(seen) == ["0.resid_post.npy", "1.resid_mid.npy"], (
        "values wait there until they are whole"
    )
    assert list((tmp_path / "broken").iterdir()) == []


def truncate(path):
    path.write_bytes(path.read_bytes()[:-50])


def empty(path):
    path.write_bytes(b"")


def as_foreign(path):
    pq.write_table(pa.table({"values": [1.0]}), path)


def without_a_column(path):
    tables.write_arrow(path, pq.read_table(path).drop_columns(["position"]))


def without_values(path):
    tables.write_arrow(path, pq.read_table(path).drop_columns(["values"]))


@pytest.mark.parametrize(
    "spoil", [truncate, empty, as_foreign, without_a_column, without_values, Path.unlink]
)
def test_a_spoilt_or_missing_file_is_refused_by_name(tmp_path, spoil):
    write(tmp_path)
    path = tmp_path / str(EARLY) / activations.FILE
    spoil(path)
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: [^\n]+$"):
        activations.read(path.parent)


def test_an_empty_folder_is_refused_by_name(tmp_path):
    (tmp_path / "0.resid_post").mkdir()
    for name in ("0.resid_post", "1.resid_post"):
        with pytest.raises(BadInput, match=name):
            activations.read(tmp_path / name)
    with pytest.raises(BadInput, match="0.resid_post"):
        activations.cached_places(tmp_path / "0.resid_post")
    with pytest.raises(BadInput, match="nowhere"):
        activations.cached_places(tmp_path / "nowhere")


def test_what_desktops_leave_is_no_place(tmp_path):
    write(tmp_path / "all")
    (tmp_path / "all" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "all" / "._0.resid_post").mkdir()
    assert activations.cached_places(tmp_path / "all") == ["0.resid_post"]


def test_folders_of_any_name_hold_activations(tmp_path):
    """A folder KEY=VALUE is no column to readers of data sets; spaces and umlauts are letters."""
    folder = tmp_path / "maze_id=7" / "größere Welt" / ("long " * 40)
    write(folder)
    assert len(activations.read(folder / str(EARLY)).values) == N_TOKENS


def test_places_are_found(cached):
    assert activations.cached_places(cached) == ["0.resid_post", "1.resid_mid"]


def asked(places=("0.resid_post",), classes=("c1",)):
    """Parameters that ask for these places and classes."""
    return activations.ActivationParams.model_construct(
        places=list(places), token_classes=list(classes)
    )


def test_what_is_asked_for_is_cached_with_what_is_needed():
    locations = Locations(
        Location(1, TokenClass.C2), WritingSite(0, ("<-->",), TokenClass.CONNECTOR)
    )
    wanted = asked(["1.mlp_out"], [";", "c1", "path"]).wanted(MODEL, locations)
    assert list(map(str, wanted.places)) == ["0.resid_post", "1.mlp_out", "1.resid_post"]
    assert wanted.classes == [
        TokenClass.DELIMITER,
        TokenClass.C1,
        TokenClass.PATH,
        TokenClass.C2,
        TokenClass.CONNECTOR,
    ]


@pytest.mark.parametrize(("places", "classes", "says"), [
    ((), ["c1", "c3"], r"activations.token_classes.*'c3'"),
    (["9.resid_post"], (), r"activations.places.*'9.resid_post'"),
    (["0.pattern"], (), r"activations.places.*one vector for each token.*'0.pattern'"),
])  # fmt: skip
def test_what_the_model_has_not_is_refused(places, classes, says):
    with pytest.raises(BadInput, match=says):
        asked(places, classes).check(MODEL)
