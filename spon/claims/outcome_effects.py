"""Effects on held-out text: claims about damage, recovery, position and cost."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from spon import stats
from spon.claims.effects import (
    BIASES_ALONE,
    Effect,
    Evidence,
    not_applicable,
    say_interval,
    say_number,
)
from spon.claims.matches import (
    Match,
    at_each_sparsity,
    between_sparsities,
    damages,
    for_each_subject,
    list_allocations,
)
from spon.sites import TEAL

UNITS = {"perplexity": "perplexity", "nll": "nats per token", "kl": "nats per token"}


def damage_difference(
    evidence: Evidence, first: str, second: str, measure: str, against: float
) -> list[Effect]:
    """What TEAL loses at one scope less what it loses at another; nats per token."""
    if evidence.outcomes is None:
        return [not_applicable(BIASES_ALONE)]
    effects = []
    for sparsity, lost in damages(evidence.outcomes, measure, [first, second]).items():
        context = say_parts(dict(zip((first, second), lost, strict=True)))
        effect = quantity_effect(lost[0] - lost[1], measure, against, context)
        effects.append(replace(effect, sparsities=(sparsity,)))
    return effects or [not_applicable(f"the study has no TEAL at both {first} and {second}")]


def recovery_difference(
    evidence: Evidence, first: str, second: str, measure: str, against: float
) -> list[Effect]:
    """Share of the damage that one allocation recovers less that of another; points.

    Each recovers the damage of its own scope.
    """

    def compare(match: Match) -> Effect:
        recovered = {name: match.recovery(measure, name) for name in (first, second)}
        difference = recovered[first] - recovered[second]
        return quantity_effect(difference, measure, against, say_parts(recovered))

    return at_each_sparsity(evidence, [first, second], compare)


def gain_ratio(
    evidence: Evidence, over: str, under: str, measure: str, against: float
) -> list[Effect]:
    """Gain of one allocation over that of another in the same scope."""

    def divide(match: Match) -> Effect:
        gains = {name: match.gain(measure, name) for name in (over, under)}
        return quantity_effect(gains[over] / gains[under], measure, against, say_parts(gains))

    return at_each_sparsity(evidence, [over, under], divide)


def gain_ratio_growth(
    evidence: Evidence, over: str, under: str, measure: str, against: float
) -> list[Effect]:
    """The ratio of two allocations' gains at a sparsity, less that at the next lower one."""

    def divide(match: Match) -> stats.Quantity:
        name = f"the gain of {under} at {100 * match.sparsity:g} %"
        return match.gain(measure, over) / match.gain(measure, under).named(name)

    def subtract(lower: Match, higher: Match) -> Effect:
        # The lower sparsity comes first, as a reason names the first gain that may be zero.
        growth = -1 * divide(lower) + divide(higher)
        return quantity_effect(growth, measure, against)

    return between_sparsities(evidence, [over, under], subtract)


def share_difference(
    evidence: Evidence, part: str, other: str, whole: str, measure: str, against: float
) -> list[Effect]:
    """Share of an allocation's gain that a part of it reaches, less that of another part; points.

    Two parts of equal size: that one has half of the parameters is no merit of its layers.
    """

    def divide(match: Match) -> Effect:
        gains = {name: match.gain(measure, name) for name in (part, other, whole)}
        shares = {name: 100 * gains[name] / gains[whole] for name in (part, other)}
        difference = 100 * (gains[part] - gains[other]) / gains[whole]
        return quantity_effect(difference, measure, against, say_parts(shares))

    return at_each_sparsity(evidence, [part, other, whole], divide)


def on_frontier(
    evidence: Evidence,
    allocation: str,
    competitors: list[str],
    measure: str,
    against: float,
    margin: int | float,
) -> list[Effect]:
    """An allocation less the best of those that cost no more; nats per token.

    No bias at all is one of them. See `judge_frontier` for the p-value.
    """

    def compare(match: Match) -> Effect:
        own = match.gain(measure, allocation)
        # No bias gains nothing.
        excess = {TEAL: own * -1.0}
        for name in match.runs:
            if name != allocation:
                excess[name] = match.gain(measure, name) - own
        cheaper = {TEAL} | {
            name for name in match.runs if match.parameters(name) < match.parameters(allocation)
        }
        best = max(excess, key=lambda name: excess[name].value)
        effect = quantity_effect(excess[best], measure, against)
        p_value, holds = judge_frontier(excess, cheaper, own * (margin / 100))
        context = f"the best of at most its cost is {best}"
        return replace(effect, p_value=p_value, holds=holds, context=context)

    affordable = list_affordable(evidence, allocation, competitors)
    return at_each_sparsity(evidence, [allocation, *affordable], compare)


def judge_frontier(
    excess: Mapping[str, stats.Quantity], cheaper: set[str], tolerance: stats.Quantity
) -> tuple[float, bool]:
    """Whether an allocation is on the frontier: the p-value of the verdict, and the verdict.

    It is not if one of its rivals gains more: the smallest p-value of all of them, times their
    number. Else it is if it gains more than every cheaper one, and none of equal cost gains more
    than it by as much as the tolerance: the largest p-value of these, since each must be shown.

    Args:
        excess: What each rival of at most its cost gains more than the allocation.
        cheaper: The rivals that cost less; the others cost as much.
        tolerance: What a rival of equal cost may gain more.
    """
    better = [bound_above_zero(rival) for rival in excess.values()]
    against = min(1.0, len(better) * min(better))
    if against < 1 - stats.LEVEL:
        return against, False
    # ASSUME: an allocation may be tied with one of equal cost, which can be shown only up to a
    # tolerance; a cheaper one has to be worse, for a tie does not pay for a cost.
    worse = [
        bound_above_zero(-1 * rival if name in cheaper else tolerance - rival)
        for name, rival in excess.items()
    ]
    return max(worse), True


def bound_above_zero(quantity: stats.Quantity) -> float:
    """The two-sided p-value of zero if a quantity is above it, else 1."""
    return quantity.interval().p_value if quantity.value > 0 else 1.0


def list_affordable(evidence: Evidence, allocation: str, competitors: Sequence[str]) -> list[str]:
    """Competitors in an allocation's scope that have no more bias parameters than it."""
    known = list_allocations(evidence.outcomes) if evidence.outcomes else {}
    if allocation not in known:
        return []
    own, others = known[allocation], [known[name] for name in competitors if name in known]
    return [
        other["allocation"]
        for other in others
        if other["allocation"] != allocation
        and other["scope"] == own["scope"]
        and other["bias_parameters"] <= own["bias_parameters"]
    ]


def marginal_gain_change(
    evidence: Evidence, chain: list[str], measure: str, against: float
) -> list[Effect]:
    """Gain per layer that a step of a nested chain adds, less that of the step before it.

    The chain begins without a bias; nats per token and layer.
    """
    steps = ["→".join(pair) for pair in pairwise(chain)]

    def measure_step(step: str) -> list[Effect]:
        number = steps.index(step)

        def compare(match: Match) -> Effect:
            gained = [gain_per_layer(match, measure, *pair) for pair in pairwise([None, *chain])]
            before, after = gained[number : number + 2]
            context = f"{say_number(before.value)} a layer before, {say_number(after.value)} now"
            return quantity_effect(after - before, measure, against, context)

        return at_each_sparsity(evidence, chain, compare)

    return for_each_subject(evidence, steps, measure_step)


def gain_per_layer(match: Match, measure: str, smaller: str | None, larger: str) -> stats.Quantity:
    """What each added layer gains from one allocation, or from no bias, to a larger one."""
    gain = match.gain(measure, larger)
    if smaller is None:
        return gain / match.layers(larger)
    added = match.layers(larger) - match.layers(smaller)
    return (gain - match.gain(measure, smaller)) / added


def relative_gain(
    evidence: Evidence, allocations: list[str], measure: str, against: float
) -> list[Effect]:
    """Percent of TEAL's perplexity or KL divergence that each allocation takes away."""

    def measure_gain(match: Match) -> Effect:
        (name,) = match.runs
        return quantity_effect(match.relative_gain(measure, name), measure, against)

    return for_each_subject(
        evidence, allocations, lambda name: at_each_sparsity(evidence, [name], measure_gain)
    )


def relative_gain_growth(
    evidence: Evidence, allocations: list[str], measure: str, against: float
) -> list[Effect]:
    """The percent that is taken away, less that at the next lower sparsity; points."""

    def subtract(lower: Match, higher: Match) -> Effect:
        (name,) = lower.runs
        before, after = (match.relative_gain(measure, name) for match in (lower, higher))
        context = f"{say_number(before.value)} before, {say_number(after.value)} now"
        return quantity_effect(after - before, measure, against, context)

    return for_each_subject(
        evidence, allocations, lambda name: between_sparsities(evidence, [name], subtract)
    )


def say_parts(parts: Mapping[str, stats.Quantity]) -> str:
    """The numbers that an effect is computed from, named: `TOP-50 0.08, BOTTOM-50 0.04`."""
    return ", ".join(f"{name} {say_number(part.value)}" for name, part in parts.items())


def quantity_effect(
    quantity: stats.Quantity, measure: str, against: float, context: str = ""
) -> Effect:
    """The effect that a quantity is.

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
            f"{denominator.name} is not shown to be above zero ({number}), "
            f"so a ratio to it has no meaning"
        )
    found = quantity.test(against)
    return Effect(found.value, found.low, found.high, found.p_value, against, context=context)
