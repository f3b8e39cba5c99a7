"""Verdicts on the published claims: one rule for every clause, and the reason in a sentence."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from spon import stats
from spon.claims.effects import Effect, Evidence, say_interval, say_number
from spon.claims.ledger import Clause

SUPPORTED, CONTRADICTED = "supported", "contradicted"
INDISTINGUISHABLE, NOT_APPLICABLE = "indistinguishable", "not applicable"
WHOLE_STUDY = "study"
ALPHA = round(1 - stats.LEVEL, 9)
SUMMARY = ["id", "claim", "statement", "published", "verdict", "verdicts", "retracted", "note"]


def decide_claims(claims: Sequence[Clause], evidence: Evidence) -> list[dict]:
    """Decide every clause, wherever the study can.

    Returns:
        One record per clause and effect (`at`: sparsities, allocation, seed), with plain values,
        None where there is nothing. The verdict is `supported` or `contradicted` where the effect
        lies on the published side of the null or on the other one and the p-value is below 5 %
        after Holm's adjustment over all tests of the study; `indistinguishable` where it is not;
        `not applicable` where the study cannot tell. Where the published study says that there is
        no effect, an effect contradicts it and none leaves it indistinguishable from chance.
    """
    measured = []
    for clause in claims:
        effects = clause.measure(evidence)
        measured += [(clause, effect, effects) for effect in effects]
    p_values = np.array([effect.p_value for _, effect, _ in measured], dtype=float)
    tests = int(np.count_nonzero(~np.isnan(p_values)))
    adjusted = stats.adjust_holm(p_values)
    return [
        record_verdict(clause, effect, float(p_holm), tests, beside)
        for (clause, effect, beside), p_holm in zip(measured, adjusted, strict=True)
    ]


def record_verdict(
    clause: Clause, effect: Effect, p_holm: float, tests: int, beside: Sequence[Effect]
) -> dict:
    """The record of one effect; `beside` are all effects of its clause."""
    verdict = judge(effect, clause.direction, p_holm)
    return {
        "id": clause.id,
        "claim": clause.claim,
        "statement": clause.statement,
        "test": clause.test,
        "at": name_location(effect, beside),
        "verdict": verdict,
        "effect": plain(effect.value),
        "low": plain(effect.low),
        "high": plain(effect.high),
        "unit": clause.unit,
        "null": plain(effect.null),
        "p_value": plain(effect.p_value),
        "p_holm": plain(p_holm),
        "published": look_up_published(clause, effect),
        "reason": explain(clause, effect, verdict, p_holm, tests, beside),
        "retracted": clause.retracted,
        "note": clause.note,
    }


def judge(effect: Effect, direction: str, p_holm: float) -> str:
    """The one rule by which every clause is decided."""
    if effect.missing:
        return NOT_APPLICABLE
    if p_holm >= ALPHA:
        return INDISTINGUISHABLE
    as_published = {
        "greater": effect.value > effect.null,
        "less": effect.value < effect.null,
        "within": abs(effect.value - effect.null) < effect.margin,
        "none": False,
    }
    return SUPPORTED if as_published[direction] else CONTRADICTED


def name_location(effect: Effect, beside: Sequence[Effect]) -> str:
    """Name the location of an effect: `s0.5`, `s0.5→s0.6 UNIF-ALL`.

    With its seed if the effects of the clause have several.
    """
    seed = f"seed{effect.seed}" if needs_seed(effect, beside) else ""
    return " ".join(filter(None, [name_sparsities(effect), effect.subject, seed])) or WHOLE_STUDY


def name_sparsities(effect: Effect) -> str:
    """The sparsity as its folder is named, or two of them."""
    return "→".join(f"s{sparsity}" for sparsity in effect.sparsities)


def look_up_published(clause: Clause, effect: Effect) -> float | str | None:
    """The published number for an effect's location, whatever the seed.

    For an effect of the whole study, all published numbers with their locations.
    """
    if isinstance(clause.published, str):
        return clause.published
    location = " ".join(filter(None, [name_sparsities(effect), effect.subject]))
    if not location:
        return ", ".join(
            f"{say_value(number, clause.unit)} at {at}" for at, number in clause.published.items()
        )
    return clause.published.get(location)


def explain(
    clause: Clause,
    effect: Effect,
    verdict: str,
    p_holm: float,
    tests: int,
    beside: Sequence[Effect],
) -> str:
    """The reason of a verdict as a sentence that needs no other."""
    location = describe_location(effect, beside)
    if effect.missing:
        if location:
            return f"{location}: {effect.missing}."
        return f"{effect.missing[0].upper()}{effect.missing[1:]}."
    context = f" ({effect.context})" if effect.context else ""
    number = say_value(say_interval(effect), clause.unit)
    family = f"{tests} test" if tests == 1 else f"{tests} tests"
    p_values = f"{say_p(effect.p_value)}, after Holm's adjustment over {family} {say_p(p_holm)}"
    if effect.least and verdict == INDISTINGUISHABLE:
        p_values += f"; the first is {effect.least}"
    return (
        f"{location}, {clause.quantity} is {number}{context}: "
        f"{compare(clause, effect, verdict)} ({p_values}); {rest_on(effect, beside)}."
    )


def describe_location(effect: Effect, beside: Sequence[Effect]) -> str:
    """The beginning of a reason: `At 50 % sparsity (TOP-50)`."""
    if not effect.sparsities:
        return effect.subject
    percents = " and ".join(f"{100 * sparsity:g}" for sparsity in effect.sparsities)
    preposition = "At" if len(effect.sparsities) == 1 else "Between"
    words = f"{preposition} {percents} % sparsity"
    seed = f"seed {effect.seed}" if needs_seed(effect, beside) else ""
    details = ", ".join(filter(None, [effect.subject, seed]))
    return f"{words} ({details})" if details else words


def needs_seed(effect: Effect, beside: Sequence[Effect]) -> bool:
    """Whether only the seed tells an effect from others of its clause."""
    seeds = {other.seed for other in beside} - {None}
    return len(seeds) > 1 and effect.seed is not None


def compare(clause: Clause, effect: Effect, verdict: str) -> str:
    """The phrase that holds the effect against the null and against the published study."""
    null = say_value(effect.null, clause.unit)
    if clause.yardstick:
        null += f", {clause.yardstick}"
    if clause.direction == "none":
        chance = "chance gives" if np.isnan(effect.null) else f"chance gives, which is {null}"
        if verdict == CONTRADICTED:
            return f"more than {chance}, where the study says that there is nothing"
        return f"what {chance}; {clause.chance}"
    phrases = {
        "greater": {
            SUPPORTED: "above",
            CONTRADICTED: "below",
            INDISTINGUISHABLE: "not to be told from",
        },
        "less": {
            SUPPORTED: "below",
            CONTRADICTED: "above",
            INDISTINGUISHABLE: "not to be told from",
        },
        "within": {
            SUPPORTED: "within",
            CONTRADICTED: "not within",
            INDISTINGUISHABLE: "neither surely within nor beyond",
        },
    }[clause.direction]
    margin = f"{say_number(effect.margin)} points of " if clause.direction == "within" else ""
    end = {
        SUPPORTED: ", as stated",
        CONTRADICTED: ", against what is stated",
        INDISTINGUISHABLE: "",
    }
    return f"{phrases[verdict]} {margin}{null}{end[verdict]}"


def rest_on(effect: Effect, beside: Sequence[Effect]) -> str:
    """The trainings that an effect is conditional on, in words."""
    if effect.seed is None:
        return "conditional on the seeds that were run"
    location = (effect.sparsities, effect.subject)
    alike = [other for other in beside if (other.sparsities, other.subject) == location]
    seeds = f"of {len(alike)} seeds" if len(alike) > 1 else "seed"
    return f"conditional on this training (one {seeds})"


def say_value(number: float | str, unit: str) -> str:
    """A number and its unit."""
    return f"{number if isinstance(number, str) else say_number(number)} {unit}".strip()


def say_p(p_value: float) -> str:
    """A p-value with two significant digits, or that it is below 0.001."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def plain(value: float) -> float | None:
    """A number as JSON can hold it; None if it is not finite."""
    return float(value) if np.isfinite(value) else None


def summarise_claims(decided: Sequence[Mapping]) -> pd.DataFrame:
    """The ledger as a table of one row per clause.

    Returns:
        `id, claim, statement, published, verdict, verdicts, retracted, note`. `verdicts` lists the
        locations under each verdict; `verdict` is the one that is reached wherever the clause
        applies, else `mixed`.
    """
    by_clause: dict[str, list[Mapping]] = {}
    for record in decided:
        by_clause.setdefault(record["id"], []).append(record)
    rows = []
    for records in by_clause.values():
        locations: dict[str, list[str]] = {}
        for record in records:
            locations.setdefault(record["verdict"], []).append(record["at"])
        applicable = set(locations) - {NOT_APPLICABLE} or {NOT_APPLICABLE}
        verdicts = [f"{verdict}: {', '.join(at)}" for verdict, at in locations.items()]
        shared = {
            key: records[0][key] for key in ("id", "claim", "statement", "retracted", "note")
        }
        verdict = {
            "published": say_published(records),
            "verdict": applicable.pop() if len(applicable) == 1 else "mixed",
            "verdicts": "; ".join(verdicts),
        }
        rows.append(shared | verdict)
    return pd.DataFrame(rows, columns=SUMMARY)


def say_published(records: Sequence[Mapping]) -> str:
    """The published words for a clause, or its numbers with their locations."""
    phrases = []
    for record in records:
        published = record["published"]
        if isinstance(published, str):
            phrases.append(published)
        elif published is not None:
            location = record["at"].split(" seed")[0]
            phrases.append(f"{say_value(published, record['unit'])} at {location}")
    return ", ".join(dict.fromkeys(phrases))
