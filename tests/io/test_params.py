"""params.yaml is read strictly."""

import re

import pytest

from mazewm.io.errors import BadInput
from mazewm.io.params import Params, check, load


class Recipe(Params):
    """A section."""

    n_steps: int
    lr: float
    name: str
    is_long: bool


GOOD = """
scale: small
recipe: {lr: 0.5, name: plain, is_long: false}
scales:
  small: {recipe: {n_steps: 3}}
  large: {recipe: {n_steps: 5}}
  empty:
"""


def load_text(folder, text):
    path = folder / "params.yaml"
    path.write_text(text)
    return load(Recipe, "recipe", path)


def refusal(folder, text):
    with pytest.raises(BadInput) as caught:
        load_text(folder, text)
    assert str(folder / "params.yaml") in str(caught.value)
    return str(caught.value)


def test_a_section_is_overlaid_by_that_of_the_scale(tmp_path):
    assert load_text(tmp_path, GOOD) == Recipe(n_steps=3, lr=0.5, name="plain", is_long=False)
    assert load_text(tmp_path, GOOD.replace("scale: small", "scale: large")).n_steps == 5


WHOLE = "{n_steps: 3, lr: 1, name: x, is_long: true}"


def test_one_place_may_have_all_keys_if_the_other_says_that_it_has_none(tmp_path):
    for here, there in ((WHOLE, "{}"), ("{}", WHOLE)):
        text = f"scale: a\nscales: {{a: {{recipe: {here}}}}}\nrecipe: {there}"
        assert load_text(tmp_path, text).lr == 1.0


@pytest.mark.parametrize("missing", ["", "recipe: "])
def test_a_section_stands_in_both_places(tmp_path, missing):
    for text, key in (
        (f"scale: a\nscales: {{a: {{{missing}}}}}\nrecipe: {WHOLE}", "scales.a.recipe"),
        (f"scale: a\nscales: {{a: {{recipe: {WHOLE}}}}}\n{missing}", "recipe"),
    ):
        assert f": {key}: the section is missing" in refusal(tmp_path, text)


def test_parameters_are_frozen(tmp_path):
    recipe = load_text(tmp_path, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        recipe.n_steps = 7


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ("n_steps: 3", "n_step: 3", "recipe.n_steps", "missing"),
        ("lr: 0.5", "lr: 0.5, colour: 1", "recipe.colour", "unknown key"),
        ("lr: 0.5", "lr: 0.5, n_steps: 7", "recipe.n_steps", "keep one"),
        ("n_steps: 3", "n_steps: three", "recipe.n_steps", "'three'"),
        ("n_steps: 3", "n_steps: '3'", "recipe.n_steps", "'3'"),
        ("n_steps: 3", "n_steps: 3.0", "recipe.n_steps", "3.0"),
        ("n_steps: 3", "n_steps: true", "recipe.n_steps", "True"),
        ("n_steps: 3", "n_steps: ", "recipe.n_steps", "None"),
        ("lr: 0.5", "lr: '1e-3'", "recipe.lr", "'1e-3'"),
        ("lr: 0.5", "lr: .inf", "recipe.lr", "finite"),
        ("lr: 0.5", "lr: .nan", "recipe.lr", "finite"),
        ("lr: 0.5", "lr: 0,5", "recipe", "names for keys, found 5"),
        ("n_steps: 3", "n_steps: 1_000.0", "recipe.n_steps", "1000.0"),
        # text in YAML 1.2, by which DVC reads
        ("is_long: false", "is_long: off", "recipe.is_long", "'off'"),
        ("is_long: false", "is_long: yes", "recipe.is_long", "'yes'"),
        ("n_steps: 3", "n_steps: 2026-01-01", "recipe.n_steps", "2026"),
        ("name: plain", "name: 7", "recipe.name", "7"),
        ("is_long: false", "is_long: 0", "recipe.is_long", "0"),
        ("scale: small", "scale: huge", "scale", "'huge'"),
        ("scale: small", "scale: ", "scale", "None"),
        ("scale: small\n", "", "scale", "None"),
        ("scale: small", "scale: empty", "scales.empty.recipe", "missing"),
        ("{recipe: {n_steps: 3}}", "{recipe: 3}", "scales.small.recipe", "expected a mapping"),
        ("{lr: 0.5, name: plain, is_long: false}", "[lr]", "recipe", "expected a mapping"),
    ],
)
def test_a_key_that_does_not_fit_is_named(tmp_path, old, new, key, reason):
    assert old in GOOD
    message = refusal(tmp_path, GOOD.replace(old, new))
    assert f": {key}" in message
    assert reason in message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.00001", 1e-5),
        ("1e-05", 1e-5),  # as dvc exp run -S writes it
        ("1E5", 1e5),
        ("1e+16", 1e16),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_000", 1000.0),
        ("012", 12.0),
        ("0x10", 16.0),
    ],
)
def test_numbers_are_those_of_dvc(tmp_path, text, value):
    """Read by the stages and by DVC, which decides by them what is out of date."""
    from dvc.utils.serialize import load_yaml

    found = load_text(tmp_path, GOOD.replace("lr: 0.5", f"lr: {text}")).lr
    assert found == value == load_yaml(tmp_path / "params.yaml")["recipe"]["lr"]


def test_what_dvc_writes_into_parameters_is_read(tmp_path):
    """The way of ``dvc exp run -S recipe.lr=0.00001``."""
    from dvc.utils.hydra import apply_overrides

    (tmp_path / "params.yaml").write_text(GOOD)
    apply_overrides(tmp_path / "params.yaml", ["recipe.lr=0.00001", "recipe.is_long=true"])
    assert load(Recipe, "recipe", tmp_path / "params.yaml").lr == 1e-5
    assert load(Recipe, "recipe", tmp_path / "params.yaml").is_long


def test_a_mark_of_utf8_is_no_part_of_the_first_key(tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(Recipe, "recipe", tmp_path / "params.yaml").n_steps == 3


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    (tmp_path / "params.yaml").write_bytes(GOOD.encode() + "# für\n".encode("latin-1"))
    with pytest.raises(BadInput, match=f"params.yaml: expected text in UTF-8.*at {len(GOOD) + 3}"):
        load(Recipe, "recipe", tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "found NoneType"),
        ("# nothing but a comment\n", "found NoneType"),
        ("- a\n- b\n", "found list"),
        ("just words\n", "found str"),
        ("a: [1,\n", "line 2"),
        ("a: b: c\n", "line 1"),
        ("a: 1\nb: 2\na: 3\n", 'found duplicate key "a" with value "3".*line 3'),
        (GOOD.replace("lr: 0.5", "lr: 0.5, lr: 1.0"), 'duplicate key "lr"'),
        ("a:\n\tb: 1\n", "line 2"),
        ("a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor"),
        ("a: 2026-13-45\n", "month"),
        ("a: 1\n---\na: 2\n", "document"),
        ("3: 1\n", "names for keys, found 3"),
    ],
)
def test_a_file_that_holds_no_mapping_is_named(tmp_path, text, why):
    assert re.search(why, refusal(tmp_path, text)), refusal(tmp_path, text)


def test_a_folder_is_no_file_of_parameters(tmp_path):
    (tmp_path / "params.yaml").mkdir()
    with pytest.raises(BadInput, match="params.yaml"):
        load(Recipe, "recipe", tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "scale: [small]\nscales: {small: {}}\n",
        "scale: a\nscales: a\n",
        "scale: a\nscales: {a: 3}\n",
    ],
)
def test_scales_of_another_shape_are_named(tmp_path, text):
    assert "scale" in refusal(tmp_path, text)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(BadInput, match="none.yaml: the file is missing"):
        load(Recipe, "recipe", tmp_path / "none.yaml")


def test_check_says_where():
    with pytest.raises(BadInput, match=r"^model.bin: config.n_steps: the key is missing"):
        check(Recipe, {"lr": 1.0, "name": "x", "is_long": True}, "model.bin: config")
