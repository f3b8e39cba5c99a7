"""Runs that can be compared: of several allocations, at one sparsity, with the same seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from spon import stats
from spon.claims.effects import BIASES_ALONE, Effect, Evidence, locate_effect, not_applicable
from spon.tables.outcomes import DENSE_POINT, Outcomes


@dataclass(frozen=True)
class Match:
    """Runs of several allocations at one sparsity, each with the same seeds.

    All numbers are averages over these seeds.

    Attributes:
        outcomes: Of the study.
        sparsity: Of all runs.
        seeds: Those with which every allocation was trained, ascending.
        runs: Points by allocation, in the order of the seeds.
    """

    outcomes: Outcomes
    sparsity: float
    seeds: tuple[int, ...]
    runs: Mapping[str, tuple[int, ...]]

    def keep(self, seeds: Sequence[int]) -> "Match":
        """The same with some of the seeds."""
        kept = [self.seeds.index(seed) for seed in seeds]
        runs = {name: tuple(points[i] for i in kept) for name, points in self.runs.items()}
        return replace(self, seeds=tuple(seeds), runs=runs)

    def gain(self, measure: str, allocation: str) -> stats.Quantity:
        """TEAL less the runs of an allocation."""
        return self.outcomes.gain(measure, self.runs[allocation])

    def recovery(self, measure: str, allocation: str) -> stats.Quantity:
        """Percent of TEAL's damage that an allocation wins back."""
        return self.outcomes.recovery(measure, self.runs[allocation])

    def relative_gain(self, measure: str, allocation: str) -> stats.Quantity:
        """Percent of TEAL's perplexity, or of its KL divergence, that an allocation takes away."""
        teal = self.outcomes.quantity(measure, self.outcomes.teal(self.runs[allocation]))
        return 100 * self.gain(measure, allocation) / teal

    def layers(self, allocation: str) -> int:
        """How many layers have a bias."""
        return len({layer for layer, _ in self.outcomes.sites(self.runs[allocation])})

    def parameters(self, allocation: str) -> int:
        """How many bias parameters an allocation has."""
        return int(self.outcomes.points["bias_parameters"].iloc[self.runs[allocation][0]])


def at_each_sparsity(
    evidence: Evidence, allocations: Sequence[str], measure: Callable[[Match], Effect]
) -> list[Effect]:
    """One effect for each sparsity at which all allocations have a run, lowest first.

    A sparsity at which some of them were never run together has one that is not applicable.
    """
    matches, why = match_runs(evidence.outcomes, allocations)
    if why:
        return [not_applicable(why)]
    effects = [
        locate_effect(
            measure_trainings(match.seeds, lambda seeds, match=match: measure(match.keep(seeds))),
            (match.sparsity,),
        )
        for match in matches
    ]
    sparsities = {
        names["sparsity"]
        for names in evidence.outcomes.names
        if names["allocation"] in allocations
    }
    unmatched = f"the study has no run of {' beside one of '.join(allocations)} there"
    for sparsity in sparsities - {match.sparsity for match in matches}:
        effects.append(not_applicable(unmatched, sparsities=(sparsity,)))
    return sorted(effects, key=lambda effect: effect.sparsities)


def between_sparsities(
    evidence: Evidence, allocations: Sequence[str], measure: Callable[[Match, Match], Effect]
) -> list[Effect]:
    """One effect for each two neighbouring sparsities at which all allocations have a run.

    The runs of both sparsities have the same seeds.
    """
    matches, why = match_runs(evidence.outcomes, allocations)
    if why:
        return [not_applicable(why)]
    effects = []
    for lower, higher in pairwise(matches):
        shared = tuple(seed for seed in lower.seeds if seed in higher.seeds)
        if not shared:
            continue
        effect = measure_trainings(
            shared,
            lambda seeds, pair=(lower, higher): measure(*(match.keep(seeds) for match in pair)),
        )
        effects.append(locate_effect(effect, (lower.sparsity, higher.sparsity)))
    if not effects:
        names = " and ".join(allocations)
        why = f"the study has no two sparsities with runs of {names} of one seed"
        return [not_applicable(why)]
    return effects


def measure_trainings(
    seeds: tuple[int, ...], measure: Callable[[tuple[int, ...]], Effect]
) -> Effect:
    """The effect averaged over trainings, with those of single trainings beside it."""
    by_seed = {seed: measure((seed,)) for seed in seeds}
    return replace(measure(seeds), seeds=len(seeds), by_seed=by_seed)


def for_each_subject(
    evidence: Evidence, subjects: Sequence[str], measure: Callable[[str], list[Effect]]
) -> list[Effect]:
    """The effects of every subject, named after it."""
    if evidence.outcomes is None:
        return [not_applicable(BIASES_ALONE)]
    return [
        locate_effect(effect, effect.sparsities, subject)
        for subject in subjects
        for effect in measure(subject)
    ]


def match_runs(outcomes: Outcomes | None, allocations: Sequence[str]) -> tuple[list[Match], str]:
    """The sparsities at which all allocations have runs of one seed; or why there are none."""
    if outcomes is None:
        return [], BIASES_ALONE
    absent = [name for name in allocations if name not in list_allocations(outcomes)]
    if absent:
        return [], f"the study has no run of {' or '.join(absent)}"
    runs: dict[float, dict[str, dict[int, int]]] = {}
    for point, names in enumerate(outcomes.names):
        if names["allocation"] in allocations:
            at = runs.setdefault(names["sparsity"], {name: {} for name in allocations})
            at[names["allocation"]][int(names["seed"])] = point
    matches = []
    for sparsity in sorted(runs):
        seeds = tuple(sorted(set.intersection(*map(set, runs[sparsity].values()))))
        if seeds:
            trained = {n: tuple(map(at.__getitem__, seeds)) for n, at in runs[sparsity].items()}
            matches.append(Match(outcomes, sparsity, seeds, trained))
    return matches, ""


def damages(outcomes: Outcomes, measure: str, scopes: Sequence[str]) -> dict[float, list]:
    """What TEAL loses against the dense model at scopes, by the sparsities that all of them have.

    In the order of the scopes.
    """
    teal: dict[float, dict[str, int]] = {}
    for point, names in enumerate(outcomes.names):
        if names["teal"] == point != DENSE_POINT:
            teal.setdefault(names["sparsity"], {})[names["scope"]] = point
    return {
        sparsity: [outcomes.damage(measure, at[scope]) for scope in scopes]
        for sparsity, at in sorted(teal.items())
        if set(scopes) <= set(at)
    }


def list_allocations(outcomes: Outcomes) -> dict[str, dict]:
    """The first point of every allocation, by its name."""
    return {names["allocation"]: names for names in reversed(outcomes.names)}
