"""params.yaml and ``dvc exp run -S``: what DVC writes is read; only people write it in place."""

import re

import pytest

from mazewm.io.params import check_sections, read_yaml
from stages import imports
from stages.imports import ROOT


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("encodings=[rotary]", ["encodings"], ["rotary"]),
        ("seeds=[0,1]", ["seeds"], [0, 1]),
        ("objectives=[all,path]", ["objectives"], ["all", "path"]),
        ("sae.lr=0.00001", ["sae", "lr"], 1e-5),
        ("sae.sparsities=[4,8]", ["sae", "sparsities"], [4, 8]),
        ("scale=tiny", ["scale"], "tiny"),
        ("scales.laptop.mazes.families.trees.max_cells=9", None, 9),
        ("results=metrics/my trial", ["results"], "metrics/my trial"),
    ],
)
def test_what_dvc_exp_run_sets_is_all_that_changes(tmp_path, override, key, value):
    """The file that DVC rewrites is read by the stages and by DVC, with this value and no other
    change, also where our file has comments and lists in one line."""
    from dvc.utils.hydra import apply_overrides
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    before = read_yaml(path)
    apply_overrides(path, [override])
    inner = before
    *way, last = key or override.split("=")[0].split(".")
    for name in way:
        inner = inner[name]
    assert inner[last] != value
    inner[last] = value
    assert read_yaml(path) == before == load_yaml(path)
    check_sections(read_yaml(path), path)


def test_nothing_of_ours_writes_parameters_in_place():
    """A person's file, with a person's comments. The plain script makes one in a folder of its
    own."""
    for package in imports.PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "plain_script.py":
                found = re.findall(r"params.yaml\"\)?\)?\.(?:write|open)\w*", path.read_text())
                assert not found, f"{path}: {found}"
