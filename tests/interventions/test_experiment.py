"""All interventions on a random model: every condition for every pair, at doses that validation
mazes chose, and counts that agree with the answers.

The answers are drawn at random, by what stands in the key-value cache of the lists, so that they
differ between edits and are the same for the same edit.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from planted import N_CONNECTIONS, random_sae, trees
from planted_edits import PARAMS, TOKENS, WRITING
from toys import wanderer

from mazewm.counterfactuals import pairs as made
from mazewm.inference.posed import Compared, Posed
from mazewm.interventions import design, experiment
from mazewm.interventions.choosing import best_doses
from mazewm.interventions.directions import DICTIONARIES, Dictionary, Directions, Units
from mazewm.interventions.edits import Condition, Method
from mazewm.interventions.ledger import EditedRow, LedgerRow, PairRow, UnitRow
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize.locations import PAPER_LOCATION, Location, Locations
from mazewm.maze import mazes
from mazewm.maze.tokens import TokenClass
from mazewm.run import Run

READING = Location(1, TokenClass.C2)
LAYERS = 3
KEYS = ["kind", "k", "method", "n_units", "place", "tokens"]
# beside no edit and the edited maze as tokens: thirteen methods at the main site and two at every
# other set of tokens; those that put two together; four for several connections
CONDITIONS = {"add": 13 + 4 * 2, "remove": 13 + 3 * 2, "move": 7, "corridor": 4, "single": 4}
D = 30


def known(run, source, n_connections, n_units):
    """Random directions, as if they had been found at a location."""
    assert n_units == 3 and n_connections == N_CONNECTIONS
    rng = np.random.default_rng(source.layer)
    units = Units(
        np.argsort(rng.random((N_CONNECTIONS, 41)), axis=1)[:, :n_units],
        rng.random((N_CONNECTIONS, n_units)),
    )
    dictionaries = {
        name: Dictionary(random_sae(D, 41, seed=nth), units, 9 * rng.random(units.ids.shape))
        for nth, name in enumerate(DICTIONARIES)
    }
    arrows = {
        name: 9 * rng.standard_normal((N_CONNECTIONS, D))
        for name in ("mean_difference", "probe_direction", "probe_pattern")
    }
    dimensions = Units(units.ids % D, units.correlation)
    return Directions(source, dictionaries, arrows, dimensions)


def on_disk(folder, some, reading=READING, n_layers=LAYERS):
    """A run on disk with a random model in memory."""
    run = Run.named("learned-all-0", folder)
    run.folder("locations").mkdir(parents=True)
    Locations(reading, WRITING).save(run.folder("locations"))
    for split, part in some.items():
        mazes.write(run.maze_file(split), part)
    return run, wanderer("learned", n_layers)


def drawn(posed, prefix, layer, pushes=None):
    """Random answers: four of five questions are answered as expected."""
    shape = posed.questions.target.shape
    sums = [float(x.double().sum()) for x in (*prefix.keys, *prefix.values)]
    rng = np.random.default_rng(np.array(sums).view(np.uint64))
    agrees, is_straight = rng.random(shape) < 0.8, rng.random(shape) < 0.7
    instead = np.where(agrees, -1, rng.integers(-1, 9, shape))
    return Compared(agrees, np.ones(shape, int), instead, rng.random(shape), is_straight)


def of_sizes(some, *sizes):
    return some[np.isin(some.n_connections, sizes)]


SPLITS = {
    "train": of_sizes(trees(60, seed=1), 5, 7),
    "validation": of_sizes(trees(120, seed=2), 5, 7)[:40],
    "test": of_sizes(trees(120, seed=3), 5, 7)[:40],
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The tables of one run, as they are on disk."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "directions_at", known)
        patch.setattr(Posed, "compare", drawn)
        torch.set_num_threads(1)
        ledger = experiment.intervene(*on_disk(folder, SPLITS), PARAMS)
    ledger.write(folder)
    types = {"ledger": LedgerRow, "pairs": PairRow, "edited": EditedRow, "units": UnitRow}
    found = {
        name: tables.read_columns(folder / f"{name}.parquet", row_type).to_pandas()
        for name, row_type in types.items()
    }
    assert len(ledger) == len(found["ledger"])
    return SimpleNamespace(**found)


def test_every_kind_has_pairs_on_both_splits(written):
    kinds = written.ledger.groupby("split").kind.unique().map(set).to_dict()
    assert kinds == {"test": set(CONDITIONS), "validation": set(CONDITIONS) - {"move"}}
    groups = written.pairs.groupby("kind").k.unique().map(set).to_dict()
    assert groups["single"] == {0, 1, 2} and groups["corridor"] == {1, 2}
    assert groups["add"] == groups["remove"] == groups["move"] == {1}


def test_every_condition_has_every_pair_once(written):
    test = written.ledger[written.ledger.split == "test"]
    assert not test.duplicated([*KEYS, "dose", "pair"]).any()
    for (kind, k), part in test.groupby(["kind", "k"]):
        pairs = written.pairs[(written.pairs.kind == kind) & (written.pairs.k == k)]
        assert sorted(pairs.pair) == list(range(len(pairs)))
        for _, rows in part.groupby([*KEYS, "dose"]):
            assert sorted(rows.pair) == sorted(pairs.pair)
        settings = part[KEYS].drop_duplicates()
        expected = 0 if (kind, k) == ("single", 0) else CONDITIONS[kind]
        assert len(settings) == expected + 2, "and no edit, and as tokens"


def test_doses_of_test_mazes_were_chosen_on_validation(written):
    validation = written.ledger[written.ledger.split == "validation"]
    best = {
        (one.kind, one.k, one.label.method, one.label.n_units, one.label.place, one.label.tokens):
        one.label.dose
        for one in best_doses(validation)
    }  # fmt: skip
    test = written.ledger[written.ledger.split == "test"]
    n_curves, doses = 0, set()
    for key, part in test.groupby(KEYS):
        if key[0] == "move" or key[2] in ("none", "tokens"):
            assert part.dose.nunique() == 1
            continue
        expected = {best[key]}
        is_main = key[5] == {"add": TOKENS["site"], "remove": TOKENS["own"]}.get(key[0])
        has_curve = key[2:4] in (("latents", 1), ("mean_difference", 0), ("random_direction", 0))
        if has_curve and is_main and key[4] == "0.resid_post":
            least = min(PARAMS.doses)
            expected |= {least / 4, least / 2, *PARAMS.doses}
            if key[2] == "random_direction":
                expected.add(best[*key[:2], "mean_difference", *key[3:]])
            n_curves += 1
        assert set(part.dose) == expected, key
        doses |= expected
    assert n_curves == 6 and len(doses) > 3, "grids were widened"
    tried = validation.groupby(KEYS).dose.unique().map(set)
    assert all(set(PARAMS.doses) <= some for some in tried)


def test_moves_take_the_doses_of_adding_and_removing(written):
    test = written.ledger[written.ledger.split == "test"]
    moved = test[test.kind == "move"].set_index(["method", "n_units"]).dose.to_dict()
    names = [("latents", 1), ("latents", 3), ("mean_difference", 0), ("random_direction", 0)]
    parts = [("add_only", 1), ("remove_only", 1), ("add_and_random", 1)]
    assert set(moved) == {*names, *parts, ("none", 0), ("tokens", 0)}
    added = best_doses(written.ledger[written.ledger.split == "validation"])
    doses = {
        (one.label.method, one.label.n_units): one.label.dose
        for one in added
        if (one.kind, one.label.tokens, one.label.place) == ("add", TOKENS["site"], "0.resid_post")
    }
    assert all(moved[name] == doses[name] for name in names)
    assert all(moved[part] == doses["latents", 1] for part in parts)


def test_answers_agree_with_the_counts(written):
    keys = [*KEYS, "dose", "pair"]
    counted = written.edited[written.edited.counts]
    of = counted.assign(
        n_affected=counted.is_affected,
        n_hit=counted.is_affected & counted.agrees,
        n_affected_first=counted.is_affected & counted.is_first,
        n_hit_first=counted.is_affected & counted.is_first & counted.agrees,
        n_affected_telling=counted.is_affected & counted.is_telling,
        n_hit_telling=counted.is_affected & counted.is_telling & counted.agrees,
        n_unaffected=~counted.is_affected,
        n_spill=~counted.is_affected & ~counted.agrees,
    )
    names = [name for name in of if name.startswith("n_") and name not in ("n_units", "n_right")]
    summed = of.groupby(keys)[names].sum()
    test = written.ledger[written.ledger.split == "test"].set_index(keys)
    assert len(summed) > 300 and summed.index.isin(test.index).all()
    wrong = (test.loc[summed.index, names] != summed).any(axis=1)
    assert not wrong.any(), (test.loc[summed.index, names][wrong], summed[wrong])
    assert summed.n_hit.sum() > 3 and summed.n_spill.sum() > 100 < summed.n_unaffected.sum()
    every = written.edited.drop_duplicates(keys).set_index(keys).index
    rest = test.loc[every.difference(summed.index), names]
    assert (rest == 0).all(axis=None)


def test_without_an_edit_nothing_changes(written):
    plain = written.ledger[written.ledger.method == "none"]
    assert (plain.n_spill == 0).all() and (plain.n_others_changed == 0).all()
    assert (plain.length == 0).all()
    edited = written.ledger[~written.ledger.method.isin(["none", "tokens"])]
    assert (edited.length > 0).mean() > 0.9 and edited.n_others_changed.sum() > 100
    told = written.ledger[(written.ledger.method == "tokens") & (written.ledger.dose == 1)]
    assert len(told) == len(plain)


def test_pairs_are_those_that_were_edited(written):
    pairs = written.pairs.assign(n=written.pairs.connections.map(sum))
    sizes = {"add": (1, 0), "remove": (0, 1), "move": (1, 1)}
    for kind, (n_added, n_removed) in sizes.items():
        mine = pairs[pairs.kind == kind]
        assert set(mine.added.map(len)) == {n_added} and set(mine.removed.map(len)) == {n_removed}
    add, remove = (pairs[pairs.kind == kind].set_index("pair") for kind in ("add", "remove"))
    assert (add.added.map(tuple) == remove.removed.map(tuple)).all(), "the same pairs serve both"
    assert (add.n + 1 == remove.n).all() and (add.maze_id == remove.maze_id).all()
    twins = written.ledger[written.ledger.kind == "add"]
    single = twins[(twins.split == "test") & (twins.method == "none")].set_index("pair")
    assert (single.connection == add.added.map(lambda e: e[0])).all()
    corridor = pairs[pairs.kind == "corridor"]
    assert (corridor.end >= 0).all() and (pairs[pairs.kind != "corridor"].end == -1).all()
    assert (corridor.added.map(len) == corridor.k).all()
    assert (pairs.n_affected <= pairs.n_questions).all() and (pairs.near >= 0).all()


def test_units_are_written_for_every_site(written):
    sites = {"0.resid_post at c2", "1.resid_post at c2", str(PAPER_LOCATION)}
    assert set(written.units.site) == sites
    assert len(written.units) == 3 * len(DICTIONARIES) * N_CONNECTIONS * 3
    own = known(None, WRITING.source, N_CONNECTIONS, 3).dictionaries["latents"]
    mine = written.units[written.units.site == "0.resid_post at c2"]
    mine = mine[mine.method == "latents"]
    for row in mine.itertuples():
        assert row.unit == own.units.ids[row.connection, row.rank]
        assert row.mean_on == own.mean_on[row.connection, row.rank]
        assert row.correlation == own.units.correlation[row.connection, row.rank]


def test_random_pushes_differ_between_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "directions_at", known)
    monkeypatch.setattr(Posed, "compare", drawn)
    study = experiment._Study(*on_disk(tmp_path, SPLITS), PARAMS)
    batches = [b for g in study._groups("test", 1)[:2] for b in study._batches("test", g)]
    seeds = [batch.writer.seed for batch in batches]
    assert len(seeds) >= 4 and len(set(seeds)) == len(seeds) // 2, "twins share them"


def test_where_doses_could_not_be_chosen_there_is_no_report(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "directions_at", known)
    monkeypatch.setattr(Posed, "compare", drawn)
    few = SPLITS | {"validation": of_sizes(SPLITS["validation"], 5)}
    params = PARAMS.model_copy(
        update={"set_sizes": [3], "doses": [1.0], "corridor_lengths": [1], "n_added": [1]}
    )
    monkeypatch.setattr(experiment, "widened", lambda doses, score: [score(dose) for dose in doses])
    found = experiment.intervene(*on_disk(tmp_path, few), params).frame()
    assert set(found[found.split == "test"].kind) == set(CONDITIONS) - {"single"}
    assert set(found[found.split == "validation"].kind) == set(CONDITIONS) - {"single", "move"}


def test_after_the_last_block_nothing_is_edited(tmp_path, monkeypatch):
    """What is written there is read by no other token."""
    monkeypatch.setattr(experiment, "directions_at", known)
    monkeypatch.setattr(Posed, "compare", drawn)
    for n_layers, expected in ((3, ["1.resid_post", "0.resid_post"]), (2, ["0.resid_post"])):
        run = on_disk(tmp_path / str(n_layers), SPLITS, n_layers=n_layers)
        study = experiment._Study(*run, PARAMS)
        assert [str(site.place) for site in study.sites.others] == expected


def test_mazes_without_twins_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "directions_at", known)
    monkeypatch.setattr(Posed, "compare", drawn)
    few = SPLITS | {"validation": of_sizes(SPLITS["validation"], 7)}
    with pytest.raises(BadInput, match=r"validation\.parquet: no tree .* several sizes\.$"):
        experiment.intervene(*on_disk(tmp_path, few), PARAMS)


SITES = design.Sites(WRITING, (design.replace(WRITING, tokens=("c2",)),))


def test_the_conditions_of_each_kind():
    assert design.conditions_of("move", SITES, [1, 3]) == []
    added = design.conditions_of("add", SITES, [1, 3])
    tokens = {one.tokens for one in added}
    assert tokens == {TOKENS["site"], "c2", TOKENS["one"]} and len(set(added)) == len(added)
    assert {(one.method.name, one.method.n_units) for one in added if one.tokens == "c2"} == {
        ("mean_difference", 0), ("latents", 3),
    }  # fmt: skip
    several = design.conditions_of("corridor", SITES, [1, 3])
    assert several == design.conditions_of("single", SITES, [1, 3])
    assert {(one.method.name, one.method.n_units) for one in several} == {
        ("mean_difference", 0), ("latents", 3), ("latents", 1), ("random_direction", 0),
    }  # fmt: skip
    assert {one.where for one in several} == {"dealt"}
    assert len(design.conditions_of("single", SITES, [3])) == 3


def test_a_curve_is_of_few_methods_at_the_main_site():
    def has(kind, name, n=0, where="site", site=WRITING):
        return design.has_curve(Condition(Method(name, n), site, where, 1.0), kind, SITES, [1, 3])

    assert has("add", "latents", 1) and has("remove", "random_direction", where="own")
    assert not has("add", "latents", 3) and not has("add", "probe_pattern")
    assert not has("remove", "latents", 1) and not has("corridor", "latents", 1, "dealt")
    assert not has("add", "latents", 1, site=SITES.others[0])


def test_groups_of_pairs():
    some = made.trees_of(SPLITS["test"], 7)
    found = list(design.groups(some, np.random.default_rng(0), 7, 2, PARAMS))
    kinds = [(group.pairs.kind, group.k) for group in found]
    assert kinds == [
        ("add", 1), ("remove", 1), ("move", 1), ("corridor", 1), ("corridor", 2), ("single", 0),
        ("single", 1), ("single", 2),
    ]  # fmt: skip
    assert (found[0].pairs.after.sum(axis=1) <= 7).all(), "what is added to is within training"
    assert all((group.pairs.before.sum(axis=1) == 7).all() for group in found[5:])
    assert set(found[3].pairs.before.sum(axis=1)) == {5, 7}, "short prompts and the longest"
    one_more = list(design.groups(some, np.random.default_rng(0), 8, 2, PARAMS))
    assert 7 in set(one_more[3].pairs.before.sum(axis=1)), "those with one fewer are long, too"
    sevens = list(
        design.groups(some[some.n_connections == 7], np.random.default_rng(0), 9, 2, PARAMS)
    )
    assert set(sevens[3].pairs.before.sum(axis=1)) == {7}, "short is what is short among them"
