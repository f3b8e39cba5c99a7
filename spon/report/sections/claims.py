"""The published claims beside this study's verdicts, clause by clause."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from string import ascii_lowercase

import pandas as pd

from spon.claims.effects import say_number
from spon.claims.verdicts import (
    CONTRADICTED,
    INDISTINGUISHABLE,
    NOT_APPLICABLE,
    SUPPORTED,
    summarise_claims,
)
from spon.report.markdown import join_blocks, join_words, say_origin, write_table

MIXED = "mixed"
VERDICTS = {
    SUPPORTED: "the effect surely has the stated sign, or lies surely within the bounds of a claim of no effect",
    CONTRADICTED: "it surely has the other sign, or lies surely beyond these bounds",
    INDISTINGUISHABLE: "neither can be told, which is no proof that there is no effect",
    NOT_APPLICABLE: "this study has nothing to decide it by",
}
WHY = (
    "Each clause with its effect, 95 % interval and reason at the first place that has a "
    "verdict, then the effects at other places with the same one. In italics, what is known of "
    "the published number. All verdicts are conditional on the trainings that were run."
)
# Such a clause goes on from the one before it.
SAME = "The same holds "
# Every reason ends with the trainings that it rests on, which the limits say once for all.
CONDITION = "; conditional on "


def describe_claims(claims: Sequence[Mapping]) -> str:
    """The ledger as a table, what the author took back, and each decided clause with its effects and reason."""
    ledger = summarise_claims(claims)
    ledger["label"] = label_clauses(ledger)
    meaning = "; ".join(f"**{verdict}**: {words}" for verdict, words in VERDICTS.items())
    told = (
        "The published study of this method drew seven conclusions, here taken apart into "
        "clauses that can be tested. Each is decided wherever this study can, by one rule: "
        f"{meaning}. P-values are adjusted by Holm's method over all tests of the study. Where "
        "places disagree the clause is mixed. A clause that the published study has not "
        "measured was stated there without a number, or carries a claim on to where it has to "
        "hold as well."
    )
    decided = ledger[ledger["verdict"] != NOT_APPLICABLE]
    rows = [describe_clause(clause) for clause in decided.itertuples()]
    return join_blocks(
        told,
        write_table(["", "published claim", "published value", "verdict here"], rows, words=4)
        if rows
        else "",
        describe_retractions(ledger),
        "### Why" if rows else "",
        WHY if rows else "",
        "\n".join(describe_reasons(clause, claims) for clause in decided.itertuples()),
        describe_undecided(ledger, claims),
    )


def label_clauses(ledger: pd.DataFrame) -> pd.Series:
    """The claim's number and a letter for its clause: `1a`."""
    letters = ledger.groupby("claim").cumcount().map(lambda place: ascii_lowercase[place])
    return ledger["claim"].astype(str) + letters


def describe_clause(clause) -> list[str]:
    """One row of the ledger."""
    verdict = f"**{clause.verdict}**"
    where = f": {say_origin(clause.verdicts)}" if clause.verdict == MIXED else ""
    return [
        clause.label,
        clause.statement,
        say_origin(clause.published) or "none",
        verdict + where,
    ]


def describe_undecided(ledger: pd.DataFrame, claims: Sequence[Mapping]) -> str:
    """The clauses that this study cannot decide, by reason."""
    missing = ledger[ledger["verdict"] == NOT_APPLICABLE]
    if missing.empty:
        return ""
    reasons = {record["id"]: record["reason"] for record in claims}
    groups = missing.groupby(missing["id"].map(reasons), sort=False)
    lines = [
        f"- {reason}\n"
        + "\n".join(f"  - {clause.label}. {clause.statement}" for clause in clauses.itertuples())
        for reason, clauses in groups
    ]
    return join_blocks("### Not applicable here", "\n".join(lines))


def describe_retractions(ledger: pd.DataFrame) -> str:
    """What the author said later, once for all clauses that it is about."""
    told = ledger[ledger["retracted"].notna() & (ledger["verdict"] != NOT_APPLICABLE)]
    told = told.groupby("retracted", sort=False)["claim"]
    return join_blocks(
        *(f"**Later retracted** (claim {claims.iloc[0]}). {words}" for words, claims in told)
    )


def describe_reasons(clause, claims: Sequence[Mapping]) -> str:
    """A decided clause: the reason at the place that stands for each verdict, and the effects at all others."""
    records = [
        record
        for record in claims
        if record["id"] == clause.id and record["verdict"] != NOT_APPLICABLE
    ]
    note = f" *{clause.note}*" if isinstance(clause.note, str) else ""
    lines = []
    for verdict in dict.fromkeys(record["verdict"] for record in records):
        first, *others = [record for record in records if record["verdict"] == verdict]
        lines.append(
            f"- **{clause.label}** {verdict}. {shorten(first['reason'])}{say_others(others)}"
        )
    return "\n".join(lines) + note


def shorten(reason: str) -> str:
    """A reason without the trainings that it is conditional on."""
    return reason.split(CONDITION)[0].removesuffix(".") + "."


def say_others(records: Sequence[Mapping]) -> str:
    """The effects with the same verdict at other places."""
    if not records:
        return ""
    found = (f"{say_effect(record)} at {say_origin(record['at'])}" for record in records)
    return f" Likewise: {'; '.join(found)}."


def say_effect(record: Mapping) -> str:
    """An effect of the ledger with its interval and unit."""
    number = say_number(record["effect"])
    if record["low"] is not None:
        number = f"{number} [{say_number(record['low'])}, {say_number(record['high'])}]"
    return f"{number} {record['unit']}".strip()


def count_verdicts(claims: Iterable[Mapping]) -> str:
    """How many clauses were decided, and how, in a sentence."""
    ledger = summarise_claims(list(claims))
    counts = Counter(ledger["verdict"])
    decided = len(ledger) - counts[NOT_APPLICABLE]
    if not decided:
        return f"None of the {len(ledger)} clauses of the published claims can be tested by this study."
    words = {
        SUPPORTED: "supported wherever tested",
        CONTRADICTED: "contradicted wherever tested",
        INDISTINGUISHABLE: "open (neither can be told)",
        MIXED: "mixed (the verdict depends on the place)",
    }
    told = join_words(
        f"{counts[verdict]} {text}" for verdict, text in words.items() if counts[verdict]
    )
    return (
        f"Of {len(ledger)} clauses of the published claims, {decided} can be tested here: {told}."
    )


def list_statements(claims: Iterable[Mapping], verdict: str) -> list[str]:
    """The clauses that share a verdict, each with its label."""
    ledger = summarise_claims(list(claims))
    labels = label_clauses(ledger)
    same = ledger["verdict"] == verdict
    return [
        f"({label}) {words}"
        for label, words in zip(labels[same], spell_out(ledger)[same], strict=True)
    ]


def spell_out(ledger: pd.DataFrame) -> pd.Series:
    """Statements that can stand by themselves: one that goes on from another takes over its words."""
    goes_on = ledger["statement"].str.startswith(SAME)
    before = ledger["statement"].mask(goes_on).ffill().str.removesuffix(".")
    return ledger["statement"].mask(
        goes_on, before + ", " + ledger["statement"].str.removeprefix(SAME)
    )
