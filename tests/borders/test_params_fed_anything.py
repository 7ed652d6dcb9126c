"""params.yaml with anything in it: every section is read as values that its code can use, or
refused in one sentence.
"""

import copy
import datetime
import functools
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mazewm.elsewhere.amounts import Settings
from mazewm.io import params as reading
from mazewm.io.errors import BadInput
from mazewm.io.params import Params, check, load, read_yaml
from stages.command import check_names
from stages.compare import StudyParams
from stages.imports import ROOT
from stages.launch import plan
from tests.borders.fed import assert_sentence, environment, snapshot
from tests.test_pipeline import STAGES, sections_of

TEXT = (ROOT / "params.yaml").read_text()
GOOD = yaml.safe_load(TEXT)
GOOD = GOOD | {"scale": "tiny", "scales": {"tiny": GOOD["scales"]["tiny"]}}
CLASSES = {name: cls for stage in STAGES for name, cls in sections_of(stage).items()}
PIPELINE = read_yaml(ROOT / "dvc.yaml")

NAN = float("nan")
VALUES = [
    *(None, True, False, 0, -1, 1, 2, 2.5, 1e300, -1e300, 10**30, -(10**30), 2**31, 2**63, 5e-324),
    *(NAN, float("inf"), -float("inf"), "", "x", "1", "1e-05", "${n}", "{{ x }}", "\u2028", "\0"),
    *([], [1], [1, 1], [[]], [None], [0], ["x"], [{}], {}, {"a": 1}, {1: 2}, {None: 1}, b"abc"),
    *(datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 1, 2, 3), "a" * 10_000, [1] * 1000),
]
KEYS = [1, None, True, -1.5, "", "n_trian", datetime.date(2020, 1, 1)]


def ways(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """The way to everything in a mapping."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        yield (*at, key)
        if isinstance(part, dict | list):
            yield from ways(part, (*at, key))


WAYS = list(ways(GOOD))


@st.composite
def mutated(draw: st.DrawFn) -> dict:
    """The parameters with one thing changed."""
    params = copy.deepcopy(GOOD)
    *way, last = draw(st.sampled_from(WAYS))
    inner = functools.reduce(lambda value, key: value[key], way, params)
    kind = draw(st.sampled_from(["other", "other", "delete", "further", "turned"]))
    if kind == "delete":
        del inner[last]
    elif kind == "further" and isinstance(inner, dict):
        inner[draw(st.sampled_from(KEYS))] = draw(st.sampled_from(VALUES))
    elif kind == "turned":
        old = inner[last]
        inner[last] = list(old) if isinstance(old, dict) else {"x": old}
    else:
        inner[last] = draw(st.sampled_from(VALUES))
    return params


def spoilt(seed: int) -> bytes:
    """The text of params.yaml with one to three places spoilt."""
    rng, text = random.Random(seed), bytearray(TEXT.encode())
    pieces = (b"\t", b":", b"- ", b"{", b"}", b"[", b"]", b"'", b'"', b"\n", b"&a ", b"*a", b"!!x ")
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(text))
        kind = rng.randrange(5)
        if kind == 0:
            text[at] = rng.randrange(256)
        elif kind == 1:
            del text[at : at + rng.randrange(1, 30)]
        elif kind == 2:
            text[at:at] = rng.choice([*pieces, b"#", b"%", b"\x00", b"\xff", b"\n---\n", b"<<: "])
        elif kind == 3:
            text = text[: max(1, at)]
        else:  # a line, and so often a key, twice
            lines = bytes(text).splitlines(keepends=True)
            line = rng.randrange(len(lines))
            text = bytearray(b"".join([*lines[:line], lines[line], *lines[line:]]))
    return bytes(text)


def doubled(n: int) -> bytes:
    """A list of lists of lists, each named twice in the next: n lines, 2^n numbers."""
    lines = [f"a{nth}: &a{nth} [{f'*a{nth - 1}, ' * 2 if nth else 1}]\n" for nth in range(n)]
    return "".join([*lines, f"mazes: *a{n - 1}\n"]).encode()


TEXTS = {
    "a byte order mark and UTF-16": TEXT.encode("utf-16"),
    "not UTF-8": b"\xff\xfe",
    "tabs": TEXT.replace("  ", "\t").encode(),
    "nothing": b"",
    "bytes of zero": b"\x00" * 10,
    "nested without end": b"[" * 100_000,
    "mappings nested without end": b"{a: " * 3000,
    "in itself": b"scale: tiny\nscales: {tiny: {mazes: {}}}\nmazes: &a {n_train: *a}",
    "names of names": doubled(40),
    "a key twice": b"scale: tiny\nscale: laptop",
    "two documents": b"--- a\n--- b",
    "code": b"!!python/object/apply:os.system ['touch canary']",
    "a name of Python": b"!!python/name:os.system ''",
    "no binary": b"a: !!binary x",
    "no timestamp": b"a: !!timestamp x",
    "no day": b"a: 2020-13-45",
    "no truth": b"a: !!bool x",
    "no ordered map": b"a: !!omap [x]",
    "a list for a map": b"!!map [1]",
    "a list for a key": b"? [1]\n: 2",
    "an unknown tag": b"a: !foo b",
    "an unknown edition": b"%YAML 9.9\n---\na: 1",
    "digits": b"a: " + b"9" * 6000,
    "hexadecimal digits": b"scale: 0x" + b"f" * 6000,
    "a merge of nothing": b"<<: 3",
    "a date for a key": b"2020-01-01: 3",
    "a name of nothing": b"a: *a",
    "a date for a scale": b"scale: 2020-01-01\nscales: {2020-01-01: {}}",
    "scales of several types": b"scale: x\nscales: {1: {}, a: {}, null: {}}",
    "keys of several types": TEXT.replace("n_threads:", "1: 2, n_threads:").encode(),
}


def readers(path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that reads ``path``, with the section that it reads."""
    yield "names", lambda: check_names(path, ROOT / "dvc.yaml")
    yield "runs", lambda: plan(PIPELINE, read_yaml(path))
    for name, cls in CLASSES.items():
        yield name, functools.partial(load, cls, name, path)
    yield "elsewhere", lambda: Settings.at("tiny", path=path)

    def study() -> Params:
        content = read_yaml(path)
        known = {name: content[name] for name in StudyParams.model_fields if name in content}
        found = check(StudyParams, known, str(path))
        found.runs()
        return found

    yield "study", study


@pytest.fixture(autouse=True)
def read_once(monkeypatch):
    """Each text is parsed once, not once for each of its readers."""
    once = functools.lru_cache(maxsize=2)(reading.parse_yaml)
    monkeypatch.setattr(reading, "parse_yaml", once)


def assert_read_or_refused(path: Path, text: bytes) -> int:
    """Every reader of the text gives values in their range, or one sentence; how many give the
    latter."""
    path.write_bytes(text)
    n_refused = 0
    for name, read in readers(path):
        try:
            found = read()
        except BadInput as error:
            assert_sentence(str(error))
            n_refused += 1
            continue
        for section in found if isinstance(found, Settings) else [found]:
            if isinstance(section, Params):
                assert_in_range(name, section.model_dump())
    return n_refused


# What may be zero, what is a share, and lists that may be empty or have a value twice: by key.
FROM_ZERO = {"position_jitter", "n_added", "other_weight", "weight_decay", "aux_weight", "seeds"}
SHARES = {"accepted", "p", "held_out_share", "dead_share", "connectivity_threshold", "tolerance"}
ANY_LIST = {"places", "token_classes"}


def assert_in_range(key: str, value: Any) -> None:
    """A value of a section, named ``key``, and all that is in it."""
    if isinstance(value, dict):
        for name, part in value.items():
            assert_in_range(name, part)
    elif isinstance(value, list):
        if key not in ANY_LIST:
            assert value and all(value.count(part) == 1 for part in value), (key, value)
        for part in value:
            assert_in_range(key, part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        assert 0 < value < 3.5e38 or (value == 0 and key in FROM_ZERO), (key, value)
        assert not isinstance(value, int) or value < 2**31, (key, value)
        assert key not in SHARES or value < 1, (key, value)


@settings(
    max_examples=450,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(params=mutated())
def test_a_changed_value_is_read_or_refused(params, tmp_path):
    assert_read_or_refused(tmp_path / "params.yaml", yaml.safe_dump(params).encode())


@pytest.mark.parametrize("first", range(0, 60, 30))
def test_a_spoilt_text_is_read_or_refused(tmp_path, first):
    refused = [
        assert_read_or_refused(tmp_path / "params.yaml", spoilt(seed))
        for seed in range(first, first + 30)
    ]
    assert any(refused), "expected some of the texts to be refused"


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_of_no_parameters_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert assert_read_or_refused(tmp_path / "params.yaml", TEXTS[name])
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"], "no code was run"


def test_the_parameters_of_the_project_are_read_with_and_without_a_byte_order_mark(tmp_path):
    for text in (TEXT.encode(), TEXT.encode("utf-8-sig"), TEXT.replace("\n", "\r\n").encode()):
        assert assert_read_or_refused(tmp_path / "params.yaml", text) == 0


COMMANDS = {
    "generate_mazes": (b"[" * 100_000, ["--seed", "0"]),
    "train_transformer": (
        TEXT.replace("n_steps: 3000,", "n_steps: 0x" + "f" * 6000 + ",").encode(),
    ),
    "digest_code": (doubled(40),),
    "launch": (b"scales: {1: {}, a: {}}\nseeds: [0]",),
    "compare": (TEXT.replace("seeds: [0]", "seeds: [0, 0]").encode(), ["--results", "metrics"]),
    "score": (b"\xff\xfe", ["--results", "metrics"]),
    "probe_inputs": (b"a: !!bool x", ["--seed", "0"]),
}


@pytest.mark.parametrize("stage", COMMANDS)
def test_a_command_says_it_in_one_sentence(tmp_path, stage):
    text, *options = COMMANDS[stage]
    (tmp_path / "params.yaml").write_bytes(text)
    (tmp_path / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    before = snapshot(tmp_path)
    takes_run = stage in ("train_transformer", "score")
    words = ["learned-all-0"] * takes_run + [word for some in options for word in some]
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
    )
    assert done.returncode == 1 and done.stdout == "", done.stderr
    assert done.stderr.startswith("error: params.yaml: "), done.stderr
    assert_sentence(" ".join(done.stderr.split()))
    assert snapshot(tmp_path) == before
