"""params.yaml is read strictly."""

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
        # YAML 1.1 reads a number without a point as a text
        (
            "lr: 0.5",
            "lr: 1e-3",
            "recipe.lr",
            "'1e-3'",
        ),
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


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words\n", "a: [1,\n", "a: b: c\n"])
def test_a_file_that_holds_no_mapping_is_named(tmp_path, text):
    refusal(tmp_path, text)


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
