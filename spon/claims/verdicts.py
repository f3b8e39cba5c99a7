"""Verdicts on the published claims: one rule for every clause, and the reason in a sentence."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from spon.claims.effects import Effect, Evidence, say_interval, say_number
from spon.claims.families import ALPHA, adjust_places
from spon.claims.ledger import Clause

SUPPORTED, SMALLER = "supported", "supported, smaller"
CONTRADICTED = "contradicted"
INDISTINGUISHABLE, NOT_APPLICABLE = "indistinguishable", "not applicable"
MIXED = "mixed"
WHOLE_STUDY = "study"
# What the published study ran.
PUBLISHED_SPARSITIES = {0.5, 0.6}


def decide_claims(claims: Sequence[Clause], evidence: Evidence) -> list[dict]:
    """Decide every clause, wherever the study can.

    Returns:
        One record per clause and place (`at`: sparsities and allocation), with plain values, None
        where there is nothing. Effects are means over trainings (`seeds` of them, each in
        `by_seed`). P-values are adjusted by Holm's method over the places of a clause, of which
        there are `family`. The verdict is `supported` or `contradicted` where the effect lies on
        the stated side of the null, or within the margin, or does not, and the adjusted p-value is
        below 5 %; `supported, smaller` where the published size lies beyond the interval;
        `indistinguishable` where the p-value is larger; `not applicable` where the study cannot
        tell.
    """
    return [
        record_verdict(clause, *decided)
        for clause in claims
        for decided in adjust_places(clause.measure(evidence))
    ]


def record_verdict(clause: Clause, effect: Effect, p_holm: float, family: int) -> dict:
    """The record of one effect; `family` is the number of tests that `p_holm` adjusts over."""
    published = look_up_published(clause, effect)
    # Where a test finds its own null, as in the model's width, sizes of two models do not compare.
    comparable = published if clause.against is not None else None
    verdict = judge(effect, clause.direction, p_holm, comparable)
    return {
        "id": clause.id,
        "claim": clause.claim,
        "statement": clause.statement,
        "test": clause.test,
        "at": name_location(effect),
        "verdict": verdict,
        "effect": plain(effect.value),
        "low": plain(effect.low),
        "high": plain(effect.high),
        "unit": clause.unit,
        "null": plain(effect.null),
        "margin": plain(effect.margin),
        "p_value": plain(effect.p_value),
        "p_holm": plain(p_holm),
        "family": family,
        "seeds": effect.seeds,
        "by_seed": list_trainings(effect),
        "extension": clause.extension or not is_published_place(name_location(effect)),
        "published": published,
        "reason": explain(clause, effect, verdict, p_holm, family),
        "retracted": clause.retracted,
        "note": clause.note,
    }


def list_trainings(effect: Effect) -> list[dict]:
    """The effect of every single training, as plain values."""
    return [
        {
            "seed": seed,
            "effect": plain(single.value),
            "low": plain(single.low),
            "high": plain(single.high),
            "p_value": plain(single.p_value),
        }
        for seed, single in effect.by_seed.items()
    ]


def judge(
    effect: Effect, direction: str, p_holm: float, published: float | str | None = None
) -> str:
    """The one rule by which every clause is decided."""
    if effect.missing:
        return NOT_APPLICABLE
    if p_holm >= ALPHA:
        return INDISTINGUISHABLE
    as_stated = {
        "greater": effect.value > effect.null,
        "less": effect.value < effect.null,
        "within": abs(effect.value - effect.null) < effect.margin,
        "frontier": effect.holds,
    }
    if not as_stated[direction]:
        return CONTRADICTED
    return SMALLER if is_smaller(effect, direction, published) else SUPPORTED


def is_smaller(effect: Effect, direction: str, published: float | str | None) -> bool:
    """Whether the published size lies beyond the interval, farther from the null."""
    if not isinstance(published, float):
        return False
    return {"greater": published > effect.high, "less": published < effect.low}.get(
        direction, False
    )


def name_location(effect: Effect) -> str:
    """Name the location of an effect: `s0.5`, `s0.5→s0.6 UNIF-ALL`."""
    sparsities = "→".join(f"s{sparsity}" for sparsity in effect.sparsities)
    return " ".join(filter(None, [sparsities, effect.subject])) or WHOLE_STUDY


def look_up_published(clause: Clause, effect: Effect) -> float | str | None:
    """The published number for an effect's location.

    For an effect of the whole study, all published numbers with their locations.
    """
    if isinstance(clause.published, str):
        return clause.published
    location = name_location(effect)
    if location == WHOLE_STUDY:
        return ", ".join(
            f"{say_value(number, clause.unit)} at {at}" for at, number in clause.published.items()
        )
    return clause.published.get(location)


def explain(clause: Clause, effect: Effect, verdict: str, p_holm: float, family: int) -> str:
    """The reason of a verdict as a sentence that needs no other."""
    location = describe_location(effect)
    if effect.missing:
        if location:
            return f"{location}: {effect.missing}."
        return f"{effect.missing[0].upper()}{effect.missing[1:]}."
    context = f" ({effect.context})" if effect.context else ""
    number = say_value(say_interval(effect), clause.unit)
    return (
        f"{location}, {clause.quantity} is {number}{context}: "
        f"{compare(clause, effect, verdict)} ({say_p_values(effect.p_value, p_holm, family)})"
        f"{rest_on(effect)}."
    )


def say_p_values(p_value: float, p_holm: float, family: int) -> str:
    """The p-value, and what Holm's adjustment over how many places makes of it."""
    adjusted = f"{say_p(p_holm)} after Holm's adjustment over {family} places"
    if family == 1:
        return say_p(p_value)
    if say_p(p_value) == say_p(p_holm):
        return adjusted
    return f"{say_p(p_value)}, {adjusted}"


def describe_location(effect: Effect) -> str:
    """The beginning of a reason: `At 50 % sparsity (TOP-50)`."""
    if not effect.sparsities:
        return effect.subject
    percents = " and ".join(f"{100 * sparsity:g}" for sparsity in effect.sparsities)
    preposition = "At" if len(effect.sparsities) == 1 else "Between"
    words = f"{preposition} {percents} % sparsity"
    return f"{words} ({effect.subject})" if effect.subject else words


def compare(clause: Clause, effect: Effect, verdict: str) -> str:
    """The phrase that holds the effect against the null and against the statement."""
    if clause.direction == "frontier":
        return compare_cost(clause, verdict)
    end = say_value(effect.null, clause.unit)
    if clause.yardstick:
        end += f", {clause.yardstick}"
    if clause.direction == "within":
        unit = "points" if clause.unit == "%" else clause.unit
        end = f"{say_value(effect.margin, unit)} of {end if effect.null else 0}"
    if verdict == INDISTINGUISHABLE:
        if clause.direction == "within":
            return f"shown at the 5 % level neither to be within nor beyond {end}"
        return f"not told apart at the 5 % level from {end}"
    sides = {"greater": ("above", "below"), "less": ("below", "above")}
    stated, opposite = sides.get(clause.direction, ("within", "beyond"))
    if verdict == CONTRADICTED:
        return f"{opposite} {end}, against what is stated"
    if verdict == SMALLER:
        size = say_value(look_up_published(clause, effect), clause.unit)
        return f"{stated} {end}, as stated, but smaller in size than the published {size}"
    return f"{stated} {end}, as stated"


def compare_cost(clause: Clause, verdict: str) -> str:
    """The phrase that says whether an allocation is on the frontier."""
    return {
        SUPPORTED: f"on the frontier, {clause.yardstick}",
        CONTRADICTED: "not on the frontier, as an allocation of at most its cost is better",
        INDISTINGUISHABLE: "too close at the 5 % level to say whether it is on the frontier",
    }[verdict]


def rest_on(effect: Effect) -> str:
    """The trainings that an effect is of, in words."""
    if effect.seeds == 0:
        return ""
    if effect.seeds == 1:
        return "; conditional on one training"
    return f"; mean of {effect.seeds} trainings"


def say_value(number: float | str, unit: str) -> str:
    """A number and its unit."""
    return f"{number if isinstance(number, str) else say_number(number)} {unit}".strip()


def say_p(p_value: float) -> str:
    """A p-value with two significant digits, or that it is below 0.001."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def plain(value: float) -> float | None:
    """A number as JSON can hold it; None if it is not finite."""
    return float(value) if np.isfinite(value) else None


def join_verdicts(records: Sequence[Mapping]) -> str:
    """The verdict on a clause wherever it applies.

    One that is supported everywhere is `supported, smaller` if it is so at all places with a
    published number.
    """
    applicable = {record["verdict"] for record in records} - {NOT_APPLICABLE}
    if applicable == {SUPPORTED, SMALLER}:
        numbered = {r["verdict"] for r in records if isinstance(r["published"], float)}
        return SUPPORTED if SUPPORTED in numbered else SMALLER
    if len(applicable) > 1:
        return MIXED
    return applicable.pop() if applicable else NOT_APPLICABLE


def is_published_place(at: str) -> bool:
    """Whether the published study ran the sparsities of a place."""
    return {float(number) for number in re.findall(r"\bs([\d.]+)", at)} <= PUBLISHED_SPARSITIES
