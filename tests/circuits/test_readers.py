"""Which heads read a change, in a model in which one is known to, and against ordinary forward
passes with the same change.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from circuits.test_patching import EIGHT, MIXED, reads_c2
from toys import wanderer

from mazewm.circuits import readers
from mazewm.circuits.patching import read_pairs
from mazewm.circuits.readers import DOSES, ReaderRow, _Drawn, measure_readers
from mazewm.circuits.writable import Units, Writable
from mazewm.inference.edits import Edit, run
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.activations import Activations
from mazewm.localize.locations import Location, WritingSite
from mazewm.maze.tokens import TOKENS_PER_CONNECTION, TokenClass
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder

HERE = Location(0, TokenClass.C2)
SITE = WritingSite(0, ("c1", "<-->"), TokenClass.C2)
ELSEWHERE = WritingSite(1, ("c1",), TokenClass.C2)
BACK = {"c1": 0, "<-->": 1, "c2": 2}  # of a token in its connection


def units(d_model: int, seed: int) -> Units:
    """Two units of every connection, drawn at random."""
    torch.manual_seed(seed)
    shape = SaeShape(activation="relu", d_model=d_model, n_latents=40, k=40)
    sae, rng = SparseAutoencoder(shape).requires_grad_(False), np.random.default_rng(seed)
    ids = np.stack([rng.permutation(40)[:2] for _ in range(12)])
    return Units(sae, ids, rng.uniform(0.5, 1, (12, 2)))


def writable(d_model: int, writing: WritingSite = SITE, location: Location = HERE) -> Writable:
    """Units of an SAE and of a control, and directions, all drawn at random."""
    arrows = np.random.default_rng(0).standard_normal((12, d_model))
    there = writing if writing.source == location else None
    return Writable(location, units(d_model, 0), units(d_model, 1), arrows, there)


def measured(model, swaps, known) -> pd.DataFrame:
    subject = Subject(model, swaps.mazes, 0, 100)
    return tables.frame(measure_readers(subject, swaps, subject, swaps, [known]), ReaderRow)


def test_the_head_that_reads_the_token_reads_all_of_it():
    model = reads_c2()
    rows = measured(model, EIGHT, writable(model.params.d_model, ELSEWHERE))
    tried = set(rows[rows.split == "validation"].written)
    assert tried == {"prompt", "token", "random_direction"}, "what has doses, and what it is like"
    rows = rows[rows.split == "test"]
    sums = rows.pivot(index="pair", columns=["written", "heads"], values="metric")
    for way in ("prompt", "token"):
        assert (sums[way, "none"] - sums[way, "all"]).abs().max() > 0.1
        assert np.allclose(sums[way, "2.0"], sums[way, "none"], atol=1e-4)
        assert np.allclose(sums[way, "1.0"], sums[way, "all"], atol=1e-4)
    assert np.allclose(sums["token", "all"], sums["prompt", "all"], atol=1e-4)
    assert set(rows.heads) == {"none", "all", "1.0", "2.0"}, "of later blocks only"


def expected(model, known: Writable, way: str, dose: float) -> np.ndarray:
    """The metric of every pair by an ordinary forward pass, token by token; in order of pairs."""
    rng, found = Subject(model, MIXED.mazes, 0, 100).rng("patching"), {}
    for part in MIXED.mazes.batches(100):
        pairs, some = read_pairs(MIXED[part], rng), MIXED[part]
        for row, nth in enumerate(part):
            e, f = int(some.removed[row]), int(some.added[row])
            slot = 1 + TOKENS_PER_CONNECTION * int(pairs.nth[row])

            def change(resid, e=e, f=f, slot=slot, n=pairs.n_connections):
                units = known.frozen if "frozen" in way else known.trained
                sae, after = units.sae, resid.clone()
                own = after[0, slot + 2]
                if way == "mean_difference":
                    after[0, slot + 2] += torch.from_numpy(
                        known.arrows[f] - known.arrows[e]
                    ).float()
                    return after
                z = sae.encode(own)
                for latent in units.ids[e]:
                    own -= z[latent] * sae.W_dec[latent]
                starts = [1 + 4 * k for k in range(n) if 1 + 4 * k != slot]
                at = [s + back for s in starts for back in (0, 1)]
                for position in at if way.startswith("site") else [slot + 2]:
                    z = sae.encode(after[0, position])
                    for latent, usual in zip(units.ids[f], units.mean_on[f], strict=True):
                        more = max(0.0, dose * usual - float(z[latent]))
                        after[0, position] += more * sae.W_dec[latent]
                return after

            tokens = torch.from_numpy(pairs.clean[row : row + 1, : pairs.last[row] + 1])
            logits = run(model, tokens, [Edit(HERE.place, change)]).logits[0, -1]
            first, second = pairs.towards[row]
            found[int(nth)] = float(logits[first] - logits[second])
    return np.array([found[nth] for nth in sorted(found)])


@pytest.mark.parametrize(
    "way", ["mean_difference", "latents_2", "frozen_decoder_2", "site_latents_2"]
)
def test_a_change_is_read_as_in_a_forward_pass(way):
    model = wanderer("rotary")
    known = writable(model.params.d_model)
    rows = measured(model, MIXED, known)
    tested = rows[(rows.written == way) & (rows.split == "test")]
    mine = tested[tested.heads == "all"]
    [dose] = mine.dose.unique()
    with torch.inference_mode():
        values = expected(model, known, way, dose)
    assert np.allclose(mine.sort_values("pair").metric, values, atol=1e-3)
    none = tested[tested.heads == "none"].sort_values("pair").metric
    assert (none - values).abs().max() > 0.01


def test_the_dose_is_the_one_that_is_read_most_like_the_token_on_the_mazes_for_choosing(
    monkeypatch,
):
    monkeypatch.setattr(readers, "is_read_right", lambda metric: metric.index == metric.index)
    model = wanderer("rotary")
    rows = measured(model, MIXED, writable(model.params.d_model))
    tried = rows[rows.split == "validation"]
    single = tried[tried.heads.str.contains(r"\.")].set_index(["pair", "heads"]).sort_index()
    whole = tried[tried.heads == "all"].set_index(["written", "dose", "pair"]).metric.sort_index()

    def lost(way, dose):
        mine = single[(single.written == way) & (single.dose == dose)].metric.sort_index()
        return mine - whole[way, dose].reindex(mine.index, level="pair")

    at_site = ("site_latents_2", "site_other_latents_2", "site_frozen_decoder_2")
    for way in (*at_site, "random_direction"):
        r = {dose: lost(way, dose).corr(lost("token", 1.0)) for dose in DOSES}
        [dose] = rows[(rows.written == way) & (rows.split == "test")].dose.unique()
        assert dose == max(r, key=r.get) and len(set(r.values())) == len(DOSES)


def test_the_third_connection_is_in_neither_maze():
    drawn = _Drawn.of(np.random.default_rng(0), MIXED, 4)
    at = np.arange(len(MIXED)), drawn.third
    assert not MIXED.mazes.connections[at].any() and not MIXED.swapped.connections[at].any()
    assert len(np.unique(drawn.third)) > 1 and (drawn.third != MIXED.removed).all()


def test_units_are_those_that_detect_a_connection():
    torch.manual_seed(0)
    sae = SparseAutoencoder(SaeShape(activation="relu", d_model=3, n_latents=3, k=3))
    with torch.no_grad():
        sae.W_enc.copy_(torch.eye(3))
        sae.b_enc.zero_(), sae.b_dec.zero_()
    values = np.array([[2.0, 0, 0.5], [4.0, 0, 0], [0, 3.0, 0.5], [0, 1.0, 0]], np.float32)
    nothing = np.zeros(4, int)
    tokens = Activations(values, nothing, nothing, nothing, nothing, np.array([1, 1, 0, 0]))
    found = Units.of(sae.requires_grad_(False), tokens, 3)
    assert found.ids[0, 0] == 1 and found.ids[1, 0] == 0
    assert found.mean_on[:, 0].tolist() == [2.0, 3.0, 0.0], "the last has no tokens"


def test_nothing_is_read_after_the_last_block():
    model = wanderer("rotary")
    last = Location(1, TokenClass.C2)
    assert measured(model, MIXED, writable(model.params.d_model, location=last)).empty
