"""Effects on held-out text: claims about recovery, position and cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from spon import stats
from spon.claims.effects import (
    BIASES_ALONE,
    Effect,
    Evidence,
    locate_effect,
    not_applicable,
    say_interval,
    say_number,
)
from spon.tables.outcomes import Outcomes

UNITS = {"perplexity": "perplexity", "nll": "nats per token", "kl": "nats per token"}


@dataclass(frozen=True)
class Match:
    """Runs of several allocations at one sparsity with one seed.

    Attributes:
        runs: Points by allocation.
    """

    sparsity: float
    seed: int
    runs: dict[str, int]

    def take(self, *allocations: str) -> list[int]:
        """The points of some allocations."""
        return [self.runs[name] for name in allocations]


def recovery_difference(
    evidence: Evidence, first: str, second: str, measure: str, against: float
) -> list[Effect]:
    """Share of the damage that one allocation recovers less that of another; points.

    Each recovers the damage of its own scope.
    """

    def compare(outcomes: Outcomes, match: Match) -> Effect:
        recovered = {name: outcomes.recovery(measure, run) for name, run in match.runs.items()}
        difference = recovered[first] - recovered[second]
        return quantity_effect(difference, measure, against, context=say_parts(recovered))

    return at_each_sparsity(evidence, [first, second], compare)


def gain_ratio(
    evidence: Evidence, over: str, under: str, measure: str, against: float
) -> list[Effect]:
    """Gain of one allocation over that of another in the same scope."""

    def divide(outcomes: Outcomes, match: Match) -> Effect:
        gains = {name: outcomes.gain(measure, run) for name, run in match.runs.items()}
        ratio = gains[over] / gains[under]
        return quantity_effect(ratio, measure, against, context=say_parts(gains))

    return at_each_sparsity(evidence, [over, under], divide)


def gain_ratio_growth(
    evidence: Evidence, over: str, under: str, measure: str, against: float
) -> list[Effect]:
    """The ratio of two allocations' gains at a sparsity, less that at the next lower one."""

    def divide(outcomes: Outcomes, match: Match) -> stats.Quantity:
        below = outcomes.gain(measure, match.runs[under])
        name = f"the gain of {under} at {100 * match.sparsity:g} %"
        return outcomes.gain(measure, match.runs[over]) / below.named(name)

    def subtract(outcomes: Outcomes, lower: Match, higher: Match) -> Effect:
        # The lower sparsity comes first, as a reason names the first gain that may be zero.
        growth = -1 * divide(outcomes, lower) + divide(outcomes, higher)
        return quantity_effect(growth, measure, against)

    return between_sparsities(evidence, [over, under], subtract)


def share_of_gain(evidence: Evidence, part: str, whole: str, measure: str) -> list[Effect]:
    """Percent of an allocation's gain that a part of it reaches.

    The null is the part's percent of the bias parameters.
    """

    def divide(outcomes: Outcomes, match: Match) -> Effect:
        part_run, whole_run = match.take(part, whole)
        share = 100 * outcomes.gain(measure, part_run) / outcomes.gain(measure, whole_run)
        costs = outcomes.points["bias_parameters"]
        return quantity_effect(share, measure, float(100 * costs[part_run] / costs[whole_run]))

    return at_each_sparsity(evidence, [part, whole], divide)


def pareto_advantage(
    evidence: Evidence, allocation: str, competitors: list[str], measure: str, against: float
) -> list[Effect]:
    """An allocation less the best of those that cost no more; nats per token.

    No bias at all is one of them.
    """

    def subtract(outcomes: Outcomes, match: Match) -> Effect:
        run = match.runs[allocation]
        others = [point for point in match.runs.values() if point != run]
        rivals = [outcomes.teal(run), *others]
        # ASSUME: the rival that looks best is treated as if it had been named before: the more
        # rivals, the harder the test is for the claim.
        best = min(rivals, key=lambda point: outcomes.means[measure][point])
        context = f"the best of at most its cost is {outcomes.points['allocation'].iloc[best]}"
        series = outcomes.series[measure]
        return replace(mean_effect(series[:, run] - series[:, best], against), context=context)

    affordable = list_affordable(evidence, allocation, competitors)
    return at_each_sparsity(evidence, [allocation, *affordable], subtract)


def list_affordable(evidence: Evidence, allocation: str, competitors: Sequence[str]) -> list[str]:
    """Competitors in an allocation's scope that have no more bias parameters than it."""
    if evidence.outcomes is None or allocation not in set(evidence.outcomes.points["allocation"]):
        return []
    points = evidence.outcomes.points.drop_duplicates("allocation").set_index("allocation")
    own = points.loc[allocation]
    same_scope = points["scope"] == own["scope"]
    affordable = points[same_scope & (points["bias_parameters"] <= own["bias_parameters"])]
    return [name for name in competitors if name in affordable.index and name != allocation]


def marginal_gain_change(
    evidence: Evidence, chain: list[str], measure: str, against: float
) -> list[Effect]:
    """Gain per layer that a step of a nested chain adds, less that of the step before it.

    The chain begins without a bias; nats per token and layer.
    """
    steps = ["→".join(pair) for pair in pairwise(chain)]

    def measure_step(step: str) -> list[Effect]:
        number = steps.index(step)

        def compare(outcomes: Outcomes, match: Match) -> Effect:
            points = [outcomes.teal(match.runs[chain[0]]), *match.take(*chain)]
            return compare_steps(outcomes, points[number : number + 3], measure, against)

        return at_each_sparsity(evidence, chain, compare)

    return for_each_subject(evidence, steps, measure_step)


def compare_steps(
    outcomes: Outcomes, points: Sequence[int], measure: str, against: float
) -> Effect:
    """Gain per added layer of the second step through three points, less that of the first."""
    before, after = (step_gain(outcomes, *step, measure) for step in pairwise(points))
    context = (
        f"{say_number(float(before.mean()))} a layer before, {say_number(float(after.mean()))} now"
    )
    return replace(mean_effect(after - before, against), context=context)


def step_gain(
    outcomes: Outcomes, smaller: int, larger: int, measure: str
) -> Float[np.ndarray, "blocks"]:
    """What each added layer gains from one point to a larger one, nats per token."""
    series = outcomes.series[measure]
    layers = [len({layer for layer, _ in outcomes.sites(point)}) for point in (smaller, larger)]
    return (series[:, smaller] - series[:, larger]) / (layers[1] - layers[0])


def relative_gain(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's perplexity that each allocation takes away."""

    def measure_gain(outcomes: Outcomes, match: Match) -> Effect:
        (run,) = match.runs.values()
        return quantity_effect(gain_percent(outcomes, run), "perplexity", against)

    return for_each_subject(
        evidence, allocations, lambda name: at_each_sparsity(evidence, [name], measure_gain)
    )


def relative_gain_growth(
    evidence: Evidence, allocations: list[str], against: float
) -> list[Effect]:
    """Percent of TEAL's perplexity taken away, less that at the next lower sparsity; points."""

    def subtract(outcomes: Outcomes, lower: Match, higher: Match) -> Effect:
        before, after = (gain_percent(outcomes, *match.runs.values()) for match in (lower, higher))
        return quantity_effect(after - before, "perplexity", against)

    return for_each_subject(
        evidence, allocations, lambda name: between_sparsities(evidence, [name], subtract)
    )


def gain_percent(outcomes: Outcomes, run: int) -> stats.Quantity:
    """A run's gain in percent of TEAL's perplexity."""
    teal = outcomes.quantity("perplexity", outcomes.teal(run))
    return 100 * outcomes.gain("perplexity", run) / teal


def for_each_subject(
    evidence: Evidence, subjects: Sequence[str], measure: Callable[[str], list[Effect]]
) -> list[Effect]:
    """The effects of every subject, named after it."""
    if evidence.outcomes is None:
        return [not_applicable(BIASES_ALONE)]
    return [
        locate_effect(effect, effect.sparsities, effect.seed, subject)
        for subject in subjects
        for effect in measure(subject)
    ]


def say_parts(parts: Mapping[str, stats.Quantity]) -> str:
    """The numbers that an effect is computed from, named: `TOP-50 0.08, BOTTOM-50 0.04`."""
    return ", ".join(f"{name} {say_number(part.value)}" for name, part in parts.items())


def quantity_effect(
    quantity: stats.Quantity, measure: str, against: float, context: str = ""
) -> Effect:
    """The effect that a quantity is, with interval and p-value from its draws.

    Args:
        quantity: In the unit of the claim.
        measure: That the quantity is computed from; its unit is that of what it is divided by.
        against: The null value.
        context: More numbers for the reason.
    """
    denominator = quantity.zero_denominator
    if denominator is not None:
        number = f"{say_interval(denominator.interval())} {UNITS[measure]}"
        return not_applicable(
            f"{denominator.name} may be zero ({number}), so a ratio to it has no meaning"
        )
    estimate, p_value, draws = quantity.interval(), quantity.p_value(against), len(quantity.draws)
    smallest = p_value <= 2 / (draws + 1) * (1 + 1e-9)
    return Effect(
        estimate.value,
        estimate.low,
        estimate.high,
        p_value,
        against,
        context=context,
        least=f"the least that {draws:,} draws can show" if smallest else "",
    )


def mean_effect(values: Float[np.ndarray, "blocks"], against: float) -> Effect:
    """The mean over blocks of a paired difference."""
    excess = stats.mean_interval(values - against)
    value, low, high = (bound + against for bound in (excess.value, excess.low, excess.high))
    return Effect(value, low, high, excess.p_value, against)


def at_each_sparsity(
    evidence: Evidence, allocations: Sequence[str], measure: Callable[[Outcomes, Match], Effect]
) -> list[Effect]:
    """One effect for each sparsity and seed at which all allocations have a run, lowest first.

    A sparsity at which some of them were never run together has one that is not applicable.
    """
    matches, why = match_runs(evidence.outcomes, allocations)
    if why:
        return [not_applicable(why)]
    effects = [
        locate_effect(measure(evidence.outcomes, match), (match.sparsity,), match.seed)
        for match in matches
    ]
    points = evidence.outcomes.points
    sparsities = set(points.loc[points["allocation"].isin(allocations), "sparsity"])
    unmatched = f"the study has no run of {' beside one of '.join(allocations)} there"
    for sparsity in sparsities - {match.sparsity for match in matches}:
        effects.append(not_applicable(unmatched, sparsities=(sparsity,)))
    return sorted(effects, key=lambda effect: effect.sparsities)


def between_sparsities(
    evidence: Evidence,
    allocations: Sequence[str],
    measure: Callable[[Outcomes, Match, Match], Effect],
) -> list[Effect]:
    """One effect for each two neighbouring sparsities at which all allocations have a run.

    The runs of both sparsities have one seed.
    """
    matches, why = match_runs(evidence.outcomes, allocations)
    if why:
        return [not_applicable(why)]
    effects = []
    for seed in dict.fromkeys(match.seed for match in matches):
        of_seed = [match for match in matches if match.seed == seed]
        for lower, higher in pairwise(of_seed):
            effect = measure(evidence.outcomes, lower, higher)
            effects.append(locate_effect(effect, (lower.sparsity, higher.sparsity), seed))
    if not effects:
        names = " and ".join(allocations)
        why = f"the study has no two sparsities with runs of {names} of one seed"
        return [not_applicable(why)]
    return effects


def match_runs(outcomes: Outcomes | None, allocations: Sequence[str]) -> tuple[list[Match], str]:
    """The sparsities and seeds at which all allocations have a run; or why there cannot be any."""
    if outcomes is None:
        return [], BIASES_ALONE
    points = outcomes.points
    absent = [name for name in allocations if name not in set(points["allocation"])]
    if absent:
        return [], f"the study has no run of {' or '.join(absent)}"
    matches = []
    rows = points[points["allocation"].isin(allocations)]
    for (sparsity, seed), group in rows.groupby(["sparsity", "seed"]):
        runs = dict(zip(group["allocation"], group.index.tolist(), strict=True))
        if len(runs) == len(allocations):
            in_order = {name: runs[name] for name in allocations}
            matches.append(Match(float(sparsity), int(seed), in_order))
    return matches, ""
