"""All interventions on one run: doses are chosen on pairs of validation mazes, and every method is
then put to pairs of test mazes at its own best dose (docs/science.md#interventions).
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from mazewm.counterfactuals.pairs import Kind
from mazewm.inference.trials import Counts, Trial
from mazewm.interventions import design
from mazewm.interventions.choosing import SCORED, best_doses, score_of, widened
from mazewm.interventions.design import Group, Sites
from mazewm.interventions.directions import directions_at
from mazewm.interventions.edits import (
    NONE,
    RANDOM,
    TOLD,
    Condition,
    Method,
    Writer,
    label_of,
)
from mazewm.interventions.labels import MAIN, Label
from mazewm.interventions.ledger import Batch, Ledger
from mazewm.interventions.params import InterventionParams
from mazewm.io.errors import BadInput
from mazewm.io.progress import console, progress
from mazewm.io.streams import stream
from mazewm.localize.locations import PAPER_LOCATION, Locations, WritingSite
from mazewm.model.interface import Model
from mazewm.run import Study

UNEDITED, IN_PROMPT = Label(NONE, 0, "", "", 0.0), Label(TOLD, 0, "", "", 1.0)
ADD_ONLY, REMOVE_ONLY, ADD_AND_RANDOM = "add_only", "remove_only", "add_and_random"

# the dose of each condition (given at dose 1) for each kind and number of connections
Doses = dict[tuple[Kind, int, Condition], float]


def intervene(run: Study, model: Model, params: InterventionParams) -> Ledger:
    """Everything that is done inside the model of a run. BadInput if the mazes have no pair of
    twins."""
    study = _Study(run, model, params)
    study.report(study.choose())
    return study.ledger


class _Study:
    def __init__(self, run: Study, model: Model, params: InterventionParams) -> None:
        self.run, self.model, self.params, self.ledger = run, model, params, Ledger()
        locations = Locations.load(run.folder("locations"), self.model.params.n_layers)
        # after the last block an edit is read by no other token
        others = [
            WritingSite(each.layer, (str(each.token_class),), each.token_class)
            for each in dict.fromkeys([locations.reading, PAPER_LOCATION])
            if each.layer < self.model.params.n_layers - 1
        ]
        self.sites = Sites(locations.writing, tuple(others))
        n_connections = run.mazes("test").grid.n_connections
        self.known = {
            str(source): directions_at(run, source, n_connections, max(params.set_sizes))
            for source in dict.fromkeys([self.sites.main.source, *(o.source for o in others)])
        }
        for known in self.known.values():
            self.ledger.add_units(known)
        self.layers = {self.sites.main.layer, *(each.layer for each in others)}

    def choose(self) -> Doses:
        """Every condition at every dose on validation mazes; the best dose of each."""
        some = self._groups("validation", self.params.n_per_connection_validation)
        tried = progress("choosing doses", sum(len(self._conditions(g)) for g in some), share=0.6)
        conditions: dict[tuple[Kind, int, Label], Condition] = {}
        for group in some:
            batches = list(self._batches("validation", group))
            for condition in self._conditions(group):
                conditions[group.pairs.kind, group.k, label_of(condition)] = condition
                widened(
                    self.params.doses, partial(self._score, group.pairs.kind, batches, condition)
                )
                tried.advance()
        return {
            (kind, k, conditions[kind, k, replace(label, dose=1.0)]): label.dose
            for kind, k, label, _ in best_doses(self.ledger.frame())
        }

    def _score(self, kind: Kind, batches: list[Batch], condition: Condition, dose: float) -> float:
        done = [self._edit(batch, replace(condition, dose=dose)) for batch in batches]
        total = {n: float(sum(getattr(counts, n).sum() for counts in done)) for n in SCORED}
        return score_of(kind, total)

    def report(self, doses: Doses) -> None:
        """Every condition at its own best dose on test mazes, without an edit, and with the edited
        maze in the prompt. Groups for which validation mazes had no room, and so no dose was
        chosen, are left out."""
        some = self._groups("test", self.params.n_per_connection)
        known = {(kind, k) for kind, k, _ in doses}
        some = [g for g in some if not self._conditions(g) or (g.pairs.kind, g.k) in known]
        edits = progress("edits of test mazes", sum(len(group.pairs) for group in some))
        for group in some:
            for batch in self._batches("test", group):
                self._report(batch, group, doses)
                edits.update(edits.done + len(batch.numbers))
        console.print(f"{len(self.ledger):,} edits of pairs of mazes")

    def _report(self, batch: Batch, group: Group, doses: Doses) -> None:
        trial = batch.trial
        self.ledger.add_pairs(batch)
        self.ledger.add(batch, UNEDITED, trial.count(trial.plain), 0.0)
        self.ledger.add_answers(batch, UNEDITED, trial.plain, trial.counts)
        self.ledger.add(batch, IN_PROMPT, trial.count_told(), 0.0)
        self.ledger.add_answers(batch, IN_PROMPT, trial.told, trial.counts_told)
        if group.pairs.kind == "move":
            self._move(batch, doses)
            return
        for condition in self._conditions(group):
            best = doses[group.pairs.kind, group.k, condition]
            self._edit(batch, replace(condition, dose=best), is_reported=True)
            if design.has_curve(condition, group.pairs.kind, self.sites, self.params.set_sizes):
                arrow = replace(condition, method=Method("mean_difference"))
                for dose in self._curve(condition, doses[group.pairs.kind, group.k, arrow]):
                    if dose != best:
                        self._edit(batch, replace(condition, dose=dose))

    def _curve(self, condition: Condition, like: float) -> list[float]:
        """The doses of a curve, from weaker ones on than those that are tried first, so that half
        of the effect lies between two of them. A random push is also tried as long as the mean
        difference at its best dose ``like``."""
        least = min(self.params.doses)
        doses = {least / 4, least / 2, *self.params.doses}
        return sorted(doses | {like} if condition.method == Method(RANDOM) else doses)

    def _move(self, batch: Batch, doses: Doses) -> None:
        """Add and remove at once, each at its own best dose; by the headline latents also with
        either missing."""

        def best(kind: Kind, method: Method) -> Condition:
            condition = Condition(method, self.sites.main, MAIN[kind], 1.0)
            return replace(condition, dose=doses[kind, 1, condition])

        headline = Method("latents", self.params.set_sizes[0])
        adding, removing = best("add", headline), best("remove", headline)
        random, like = best("remove", Method(RANDOM)), label_of(adding)
        tried: dict[Label, tuple[Condition, ...]] = {
            replace(like, method=ADD_ONLY): (adding,),
            replace(like, method=REMOVE_ONLY): (removing,),
            replace(like, method=ADD_AND_RANDOM): (adding, random),
        }
        methods = [Method("latents", n) for n in self.params.set_sizes]
        for method in (*methods, Method("mean_difference"), Method(RANDOM)):
            both = best("add", method), best("remove", method)
            tried[label_of(both[0])] = both
        for label, conditions in tried.items():
            self._apply(batch, label, conditions, is_reported=True)

    def _groups(self, split: str, n: int) -> list[Group]:
        mazes, most = self.run.mazes(split), int(self.run.mazes("train").n_connections.max())
        rng = stream(f"interventions: {split}", self.run.seed)
        found = list(design.groups(mazes, rng, most, n, self.params))
        if not len(found[0].pairs):
            raise BadInput(
                f"{self.run.maze_file(split)}: no tree to which a connection could be added; "
                "expected mazes of several sizes."
            )
        return [group for group in found if len(group.pairs)]

    def _batches(self, split: str, group: Group) -> Iterator[Batch]:
        rng = stream(f"interventions: lists, {split}", self.run.seed, group.k)
        for numbers in group.pairs.batches(self.params.batch_size):
            trial = Trial(self.model, group.pairs[numbers], rng, self.layers)
            seed = int(rng.integers(2**63))
            writer = Writer(trial.pairs, trial.lists, self.known, seed)
            yield Batch(split, group.k, numbers, trial, writer)

    def _conditions(self, group: Group) -> list[Condition]:
        if group.k == 0:
            return []
        return design.conditions_of(group.pairs.kind, self.sites, self.params.set_sizes)

    def _edit(self, batch: Batch, condition: Condition, is_reported: bool = False) -> Counts:
        return self._apply(batch, label_of(condition), (condition,), is_reported)

    def _apply(
        self, batch: Batch, label: Label, conditions: tuple[Condition, ...], is_reported: bool
    ) -> Counts:
        edit = batch.writer.edit(conditions)
        answers = batch.trial.compare(batch.trial.read.edited(edit), edit.place.layer)
        if is_reported:
            self.ledger.add_answers(batch, label, answers, batch.trial.counts)
        counts = batch.trial.count(answers)
        self.ledger.add(batch, label, counts, batch.writer.length)
        return counts
