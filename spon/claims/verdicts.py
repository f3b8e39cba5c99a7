"""What a study's own numbers say to the published claims: one rule for every clause, and the reason in a sentence."""

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
        One record per clause and place (`at`: sparsities, allocation, seed), with plain values, None where there is
        nothing. The verdict is `supported` or `contradicted` where the effect lies on the published side of the null
        or on the other one and the p-value is below 5 % after Holm's adjustment over all tests of the study;
        `indistinguishable` where it is not; `not applicable` where the study cannot tell. Where the published study
        says that there is no effect, an effect contradicts it and none leaves it indistinguishable from chance.
    """
    found = [(clause, effect) for clause in claims for effect in clause.measure(evidence)]
    adjusted = stats.adjust_holm(np.array([effect.p_value for _, effect in found], dtype=float))
    tests = int(np.count_nonzero(~np.isnan(adjusted)))
    records = []
    for (clause, effect), p_holm in zip(found, adjusted, strict=True):
        beside = [other for asked, other in found if asked is clause]
        verdict = judge(effect, clause.direction, float(p_holm))
        records.append(
            {
                "id": clause.id,
                "claim": clause.claim,
                "statement": clause.statement,
                "test": clause.test,
                "at": name_place(effect, beside),
                "verdict": verdict,
                "effect": plain(effect.value),
                "low": plain(effect.low),
                "high": plain(effect.high),
                "unit": clause.unit,
                "null": plain(effect.null),
                "p_value": plain(effect.p_value),
                "p_holm": plain(p_holm),
                "published": look_up_published(clause, effect),
                "reason": explain(clause, effect, verdict, float(p_holm), tests, beside),
                "retracted": clause.retracted,
                "note": clause.note,
            }
        )
    return records


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


def name_place(effect: Effect, beside: Sequence[Effect]) -> str:
    """Where an effect was measured: `s0.5`, `s0.5→s0.6 UNIF-ALL`; with its seed if the clause has several."""
    seeds = {other.seed for other in beside} - {None}
    seed = f"seed{effect.seed}" if len(seeds) > 1 and effect.seed is not None else ""
    return " ".join(filter(None, [name_sparsities(effect), effect.subject, seed])) or WHOLE_STUDY


def name_sparsities(effect: Effect) -> str:
    """The sparsity as folders are named, or two of them."""
    return "→".join(f"s{sparsity}" for sparsity in effect.sparsities)


def look_up_published(clause: Clause, effect: Effect) -> float | str | None:
    """What the published study gives for the same place, whatever the seed; all that it gives for a whole study."""
    if isinstance(clause.published, str):
        return clause.published
    place = " ".join(filter(None, [name_sparsities(effect), effect.subject]))
    if not place:
        return ", ".join(
            f"{say_value(number, clause.unit)} at {at}" for at, number in clause.published.items()
        )
    return clause.published.get(place)


def explain(
    clause: Clause,
    effect: Effect,
    verdict: str,
    p_holm: float,
    tests: int,
    beside: Sequence[Effect],
) -> str:
    """The reason of a verdict as a sentence that needs no other."""
    place = describe_place(effect, beside)
    if effect.missing:
        return (
            f"{place}: {effect.missing}."
            if place
            else f"{effect.missing[0].upper()}{effect.missing[1:]}."
        )
    context = f" ({effect.context})" if effect.context else ""
    number = say_value(say_interval(effect), clause.unit)
    compared = compare(clause, effect, verdict)
    adjusted = f"{say_p(effect.p_value)}, after Holm's adjustment over {tests} test{'s' * (tests > 1)} {say_p(p_holm)}"
    least = (
        f"; the first is {effect.least}" if effect.least and verdict == INDISTINGUISHABLE else ""
    )
    return f"{place}, {clause.quantity} is {number}{context}: {compared} ({adjusted}{least}); {rest_on(effect, beside)}."


def describe_place(effect: Effect, beside: Sequence[Effect]) -> str:
    """The beginning of a reason: `At 50 % sparsity (TOP-50)`."""
    percents = " and ".join(f"{100 * sparsity:g}" for sparsity in effect.sparsities)
    words = {0: "", 1: f"At {percents} % sparsity", 2: f"Between {percents} % sparsity"}[
        len(effect.sparsities)
    ]
    if not words:
        return effect.subject
    several = len({other.seed for other in beside} - {None}) > 1 and effect.seed is not None
    inside = ", ".join(filter(None, [effect.subject, f"seed {effect.seed}" if several else ""]))
    return f"{words} ({inside})" if inside else words


def compare(clause: Clause, effect: Effect, verdict: str) -> str:
    """What the effect says about the null, and the published study beside it."""
    null = say_value(effect.null, clause.unit) + (
        f", {clause.yardstick}" if clause.yardstick else ""
    )
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
    """The trainings that an effect is conditional on."""
    if effect.seed is None:
        return "conditional on the seeds that were run"
    alike = [
        other
        for other in beside
        if (other.sparsities, other.subject) == (effect.sparsities, effect.subject)
    ]
    return f"conditional on this training (one {f'of {len(alike)} seeds' if len(alike) > 1 else 'seed'})"


def say_value(number: float | str, unit: str) -> str:
    """A number and its unit."""
    return f"{number if isinstance(number, str) else say_number(number)} {unit}".strip()


def say_p(p_value: float) -> str:
    """A p-value with two digits, as far as it is worth it."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def plain(value: float) -> float | None:
    """A number that JSON knows."""
    return float(value) if np.isfinite(value) else None


def summarise_claims(decided: Sequence[Mapping]) -> pd.DataFrame:
    """The ledger as a table of one row per clause.

    Returns:
        `id, claim, statement, published, verdict, verdicts, retracted, note`. `verdicts` lists the places under each
        verdict; `verdict` is the one that all places share which it can be applied to, else `mixed`.
    """
    rows = []
    for name in dict.fromkeys(record["id"] for record in decided):
        records = [record for record in decided if record["id"] == name]
        verdicts = [record["verdict"] for record in records]
        applied = set(verdicts) - {NOT_APPLICABLE} or {NOT_APPLICABLE}
        places = {
            verdict: ", ".join(record["at"] for record in records if record["verdict"] == verdict)
            for verdict in dict.fromkeys(verdicts)
        }
        rows.append(
            {
                **{
                    key: records[0][key]
                    for key in ("id", "claim", "statement", "retracted", "note")
                },
                "published": say_published(records),
                "verdict": applied.pop() if len(applied) == 1 else "mixed",
                "verdicts": "; ".join(f"{verdict}: {at}" for verdict, at in places.items()),
            }
        )
    return pd.DataFrame(rows, columns=SUMMARY)


def say_published(records: Sequence[Mapping]) -> str:
    """What the published study gives for a clause, with the places where it has numbers."""
    told = [
        published
        if isinstance(published, str)
        else f"{say_value(published, record['unit'])} at {record['at'].split(' seed')[0]}"
        for record in records
        if (published := record["published"]) is not None
    ]
    return ", ".join(dict.fromkeys(told))
