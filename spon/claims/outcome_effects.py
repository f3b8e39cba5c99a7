"""Effects of biases on what a model predicts, measured on held-out text: claims about recovery, position and cost."""

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
    not_applicable,
    place_effect,
    say_interval,
    say_number,
)
from spon.tables.outcomes import DENSE_POINT, Outcomes

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
    """Share of the damage that one allocation recovers, each in its own scope, less that of another; points."""

    def compare(outcomes: Outcomes, match: Match) -> Effect:
        one, other = (
            (gain_of(outcomes, run), damage_of(outcomes, run)) for run in match.take(first, second)
        )
        scopes = outcomes.points["scope"].iloc[match.take(first, second)]
        return draw_effect(
            outcomes,
            measure,
            lambda means: (
                100 * (one[0](means) / one[1](means) - other[0](means) / other[1](means))
            ),
            against,
            under=dict(zip("the damage at " + scopes, (one[1], other[1]), strict=True)),
            parts={name: outcomes.recovery(measure, run) for name, run in match.runs.items()},
        )

    return at_each_sparsity(evidence, [first, second], compare)


def gain_ratio(
    evidence: Evidence, over: str, under: str, measure: str, against: float
) -> list[Effect]:
    """Gain of one allocation over that of another in the same scope."""

    def divide(outcomes: Outcomes, match: Match) -> Effect:
        above, below = gain_of(outcomes, match.runs[over]), gain_of(outcomes, match.runs[under])
        return draw_effect(
            outcomes,
            measure,
            lambda means: above(means) / below(means),
            against,
            under={f"the gain of {under}": below},
            parts={name: gained(outcomes, measure, run) for name, run in match.runs.items()},
        )

    return at_each_sparsity(evidence, [over, under], divide)


def gain_ratio_growth(
    evidence: Evidence, over: str, under: str, measure: str, against: float
) -> list[Effect]:
    """The ratio of two allocations' gains at a sparsity, less that at the next lower one."""

    def subtract(outcomes: Outcomes, lower: Match, higher: Match) -> Effect:
        above = [gain_of(outcomes, match.runs[over]) for match in (lower, higher)]
        below = [gain_of(outcomes, match.runs[under]) for match in (lower, higher)]
        names = [f"the gain of {under} at {100 * match.sparsity:g} %" for match in (lower, higher)]
        return draw_effect(
            outcomes,
            measure,
            lambda means: above[1](means) / below[1](means) - above[0](means) / below[0](means),
            against,
            under=dict(zip(names, below, strict=True)),
        )

    return between_sparsities(evidence, [over, under], subtract)


def share_of_gain(evidence: Evidence, part: str, whole: str, measure: str) -> list[Effect]:
    """Percent of an allocation's gain that a part of it reaches; the null is its percent of the bias parameters."""

    def divide(outcomes: Outcomes, match: Match) -> Effect:
        above, below = gain_of(outcomes, match.runs[part]), gain_of(outcomes, match.runs[whole])
        costs = outcomes.points["bias_parameters"]
        return draw_effect(
            outcomes,
            measure,
            lambda means: 100 * above(means) / below(means),
            against=float(100 * costs[match.runs[part]] / costs[match.runs[whole]]),
            under={f"the gain of {whole}": below},
        )

    return at_each_sparsity(evidence, [part, whole], divide)


def pareto_advantage(
    evidence: Evidence, allocation: str, competitors: list[str], measure: str, against: float
) -> list[Effect]:
    """An allocation less the best of those that cost no more, no bias at all among them; nats per token."""

    def subtract(outcomes: Outcomes, match: Match) -> Effect:
        run = match.runs[allocation]
        rivals = [outcomes.teal(run), *(point for point in match.runs.values() if point != run)]
        # ASSUME: the rival that looks best is treated as if it had been named before: the more rivals, the harder
        # the test is for the claim.
        best = min(rivals, key=lambda point: outcomes.means[measure][point])
        context = f"the best of at most its cost is {outcomes.points['allocation'].iloc[best]}"
        series = outcomes.series[measure]
        return replace(mean_effect(series[:, run] - series[:, best], against), context=context)

    return at_each_sparsity(
        evidence, [allocation, *list_affordable(evidence, allocation, competitors)], subtract
    )


def list_affordable(evidence: Evidence, allocation: str, competitors: Sequence[str]) -> list[str]:
    """Competitors that the study has in an allocation's scope and that have no more bias parameters."""
    if evidence.outcomes is None or allocation not in set(evidence.outcomes.points["allocation"]):
        return []
    points = evidence.outcomes.points.drop_duplicates("allocation").set_index("allocation")
    own = points.loc[allocation]
    fit = points[
        (points["scope"] == own["scope"]) & (points["bias_parameters"] <= own["bias_parameters"])
    ]
    return [name for name in competitors if name in fit.index and name != allocation]


def marginal_gain_change(
    evidence: Evidence, chain: list[str], measure: str, against: float
) -> list[Effect]:
    """What a layer gains that one allocation of a nested chain adds, less what one gains that the last one added.

    The chain begins without a bias; nats per token and layer.
    """

    def measure_step(step: str) -> list[Effect]:
        number = steps.index(step)
        return at_each_sparsity(
            evidence,
            chain,
            lambda outcomes, match: compare_steps(
                outcomes,
                [outcomes.teal(match.runs[chain[0]]), *match.take(*chain)][number : number + 3],
                measure,
                against,
            ),
        )

    steps = ["→".join(pair) for pair in pairwise(chain)]
    return for_each_subject(evidence, steps, measure_step)


def compare_steps(
    outcomes: Outcomes, points: Sequence[int], measure: str, against: float
) -> Effect:
    """Gain per added layer from the second to the third of three points, less that from the first to the second."""
    series = outcomes.series[measure]
    layers = [len({layer for layer, _ in outcomes.sites(point)}) for point in points]
    before, after = (
        (series[:, points[step]] - series[:, points[step + 1]]) / (layers[step + 1] - layers[step])
        for step in (0, 1)
    )
    context = (
        f"{say_number(float(before.mean()))} a layer before, {say_number(float(after.mean()))} now"
    )
    return replace(mean_effect(after - before, against), context=context)


def relative_gain(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's perplexity that each allocation takes away."""

    def measure_gain(outcomes: Outcomes, match: Match) -> Effect:
        return draw_effect(
            outcomes, "perplexity", relative_gain_of(outcomes, *match.runs.values()), against
        )

    return for_each_subject(
        evidence, allocations, lambda name: at_each_sparsity(evidence, [name], measure_gain)
    )


def relative_gain_growth(
    evidence: Evidence, allocations: list[str], against: float
) -> list[Effect]:
    """Percent of TEAL's perplexity that each allocation takes away, less that at the next lower sparsity; points."""

    def subtract(outcomes: Outcomes, lower: Match, higher: Match) -> Effect:
        before, after = (
            relative_gain_of(outcomes, *match.runs.values()) for match in (lower, higher)
        )
        return draw_effect(
            outcomes, "perplexity", lambda means: after(means) - before(means), against
        )

    return for_each_subject(
        evidence, allocations, lambda name: between_sparsities(evidence, [name], subtract)
    )


def for_each_subject(
    evidence: Evidence, subjects: Sequence[str], find: Callable[[str], list[Effect]]
) -> list[Effect]:
    """The effects of every subject, named after it."""
    if evidence.outcomes is None:
        return [not_applicable(BIASES_ALONE)]
    return [
        place_effect(effect, effect.sparsities, effect.seed, subject)
        for subject in subjects
        for effect in find(subject)
    ]


def gain_of(outcomes: Outcomes, run: int) -> stats.Function:
    """TEAL less a run."""
    teal = outcomes.teal(run)
    return lambda means: means[..., teal] - means[..., run]


def damage_of(outcomes: Outcomes, run: int) -> stats.Function:
    """TEAL less the dense model, at a run's scope and sparsity."""
    teal = outcomes.teal(run)
    return lambda means: means[..., teal] - means[..., DENSE_POINT]


def relative_gain_of(outcomes: Outcomes, run: int) -> stats.Function:
    """Gain in percent of TEAL."""
    teal = outcomes.teal(run)
    return lambda means: 100 * (1 - means[..., run] / means[..., teal])


def gained(outcomes: Outcomes, measure: str, run: int) -> stats.Estimate:
    """A run's gain with its interval."""
    return stats.function_interval(
        outcomes.means[measure], outcomes.draws[measure], gain_of(outcomes, run)
    )


def draw_effect(
    outcomes: Outcomes,
    measure: str,
    function: stats.Function,
    against: float,
    under: Mapping[str, stats.Function] | None = None,
    parts: Mapping[str, stats.Estimate] | None = None,
) -> Effect:
    """A function of the means of all points, with interval and p-value from their joint draws.

    Args:
        outcomes: Of the study.
        measure: Of the means.
        function: From means to a number.
        against: The null value.
        under: What the function divides by, named; where one of them may be zero there is no effect.
        parts: Numbers that the reason shall give beside it, named.
    """
    means, draws = outcomes.means[measure], outcomes.draws[measure]
    for name, denominator in (under or {}).items():
        found = stats.function_interval(means, draws, denominator)
        if found.holds_zero:
            number = f"{say_interval(found)} {UNITS[measure]}"
            return not_applicable(
                f"{name} may be zero ({number}), so a ratio to it has no meaning"
            )
    drawn = function(draws)
    found, p_value = (
        stats.function_interval(means, draws, function),
        stats.invert_percentiles(drawn, against),
    )
    smallest = p_value <= 2 / (len(drawn) + 1) * (1 + 1e-9)
    return Effect(
        found.value,
        found.low,
        found.high,
        p_value,
        against,
        context=", ".join(
            f"{name} {say_number(part.value)}" for name, part in (parts or {}).items()
        ),
        least=f"the least that {len(drawn):,} draws can show" if smallest else "",
    )


def mean_effect(values: Float[np.ndarray, "blocks"], against: float) -> Effect:
    """The mean over blocks of a paired difference."""
    found = stats.mean_interval(values - against)
    return Effect(
        found.value + against, found.low + against, found.high + against, found.p_value, against
    )


def at_each_sparsity(
    evidence: Evidence, allocations: Sequence[str], measure: Callable[[Outcomes, Match], Effect]
) -> list[Effect]:
    """One effect for each sparsity and seed at which all allocations have a run, lowest first.

    A sparsity at which some of them were never run together has one that is not applicable.
    """
    matches, why = match_runs(evidence.outcomes, allocations)
    if why:
        return [not_applicable(why)]
    points = evidence.outcomes.points
    asked = set(points.loc[points["allocation"].isin(allocations), "sparsity"])
    gaps = [
        not_applicable(
            f"the study has no run of {' beside one of '.join(allocations)} there",
            sparsities=(sparsity,),
        )
        for sparsity in asked - {match.sparsity for match in matches}
    ]
    found = [
        place_effect(measure(evidence.outcomes, match), (match.sparsity,), match.seed)
        for match in matches
    ]
    return sorted(found + gaps, key=lambda effect: effect.sparsities)


def between_sparsities(
    evidence: Evidence,
    allocations: Sequence[str],
    measure: Callable[[Outcomes, Match, Match], Effect],
) -> list[Effect]:
    """One effect for each two neighbouring sparsities of the study at which all allocations have a run of one seed."""
    matches, why = match_runs(evidence.outcomes, allocations)
    if why:
        return [not_applicable(why)]
    pairs = [
        (lower, higher)
        for seed in dict.fromkeys(match.seed for match in matches)
        for lower, higher in pairwise(match for match in matches if match.seed == seed)
    ]
    if not pairs:
        return [
            not_applicable(
                f"the study has no two sparsities with runs of {' and '.join(allocations)} of one seed"
            )
        ]
    return [
        place_effect(
            measure(evidence.outcomes, lower, higher),
            (lower.sparsity, higher.sparsity),
            lower.seed,
        )
        for lower, higher in pairs
    ]


def match_runs(outcomes: Outcomes | None, allocations: Sequence[str]) -> tuple[list[Match], str]:
    """The sparsities and seeds at which all allocations have a run; or why there cannot be any."""
    if outcomes is None:
        return [], BIASES_ALONE
    points = outcomes.points
    absent = [name for name in allocations if name not in set(points["allocation"])]
    if absent:
        return [], f"the study has no run of {' or '.join(absent)}"
    chosen = points[points["allocation"].isin(allocations)]
    matches = []
    for (sparsity, seed), runs in chosen.groupby(["sparsity", "seed"]):
        named = dict(zip(runs["allocation"], runs.index.tolist(), strict=True))
        if len(named) == len(allocations):
            matches.append(
                Match(float(sparsity), int(seed), {name: named[name] for name in allocations})
            )
    return matches, ""
