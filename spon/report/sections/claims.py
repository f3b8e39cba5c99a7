"""Describe the verdicts on the published claims, clause by clause."""

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
    SUPPORTED: (
        "the effect surely has the stated sign, or lies surely within the bounds of a claim of no "
        "effect"
    ),
    CONTRADICTED: "it surely has the other sign, or lies surely beyond these bounds",
    INDISTINGUISHABLE: "neither can be told, which is no proof that there is no effect",
    NOT_APPLICABLE: "this study has nothing to decide it by",
}
COUNTED = {
    SUPPORTED: "supported wherever tested",
    CONTRADICTED: "contradicted wherever tested",
    INDISTINGUISHABLE: "open (neither can be told)",
    MIXED: "mixed (the verdict depends on the place)",
}
WHY = (
    "Each clause with its effect, 95 % interval and reason at the first place that has a "
    "verdict, then the effects at other places with the same one. In italics, what is known of "
    "the published number. All verdicts are conditional on the trainings that were run."
)
# A statement that begins so continues the statement before it.
SAME = "The same holds "
# Every reason ends with the trainings that it is conditional on. The introduction to the reasons
# says so once.
CONDITION = "; conditional on "


def describe_claims(claims: Sequence[Mapping]) -> str:
    """Write the verdict on each clause as a table, then the retractions and the reasons."""
    ledger = summarise_claims(claims)
    ledger["label"] = label_clauses(ledger)
    meanings = "; ".join(f"**{verdict}**: {words}" for verdict, words in VERDICTS.items())
    introduction = (
        "The published study of this method drew seven conclusions, here taken apart into clauses "
        f"that can be tested. Each is decided wherever this study can, by one rule: {meanings}. "
        "P-values are adjusted by Holm's method over all tests of the study. Where places "
        "disagree the clause is mixed. A clause that the published study has not measured was "
        "stated there without a number, or carries a claim on to where it has to hold as well."
    )
    decided = ledger[ledger["verdict"] != NOT_APPLICABLE]
    blocks = [introduction]
    if len(decided):
        header = ["", "published claim", "published value", "verdict here"]
        rows = [describe_clause(clause) for clause in decided.itertuples()]
        reasons = [describe_reasons(clause, claims) for clause in decided.itertuples()]
        blocks += [
            write_table(header, rows, words=4),
            describe_retractions(decided),
            "### Why",
            WHY,
            "\n".join(reasons),
        ]
    return join_blocks(*blocks, describe_undecided(ledger, claims))


def label_clauses(ledger: pd.DataFrame) -> pd.Series:
    """Label each clause by its claim's number and a letter: `1a`."""
    letters = ledger.groupby("claim").cumcount().map(lambda index: ascii_lowercase[index])
    return ledger["claim"].astype(str) + letters


def describe_clause(clause) -> list[str]:
    """Return the cells of one clause."""
    verdict = f"**{clause.verdict}**"
    if clause.verdict == MIXED:
        verdict += f": {say_origin(clause.verdicts)}"
    return [clause.label, clause.statement, say_origin(clause.published) or "none", verdict]


def describe_undecided(ledger: pd.DataFrame, claims: Sequence[Mapping]) -> str:
    """List the clauses that this study cannot decide, by reason."""
    undecided = ledger[ledger["verdict"] == NOT_APPLICABLE]
    if undecided.empty:
        return ""
    reasons = {record["id"]: record["reason"] for record in claims}
    lines = []
    for reason, clauses in undecided.groupby(undecided["id"].map(reasons), sort=False):
        lines.append(f"- {reason}")
        lines += [f"  - {clause.label}. {clause.statement}" for clause in clauses.itertuples()]
    return join_blocks("### Not applicable here", "\n".join(lines))


def describe_retractions(decided: pd.DataFrame) -> str:
    """Write each retraction by the author once, though several clauses may have it."""
    retracted = decided[decided["retracted"].notna()]
    blocks = []
    for words, claims in retracted.groupby("retracted", sort=False)["claim"]:
        blocks.append(f"**Later retracted** (claim {claims.iloc[0]}). {words}")
    return join_blocks(*blocks)


def describe_reasons(clause, claims: Sequence[Mapping]) -> str:
    """Write a line for each verdict on a clause: one record's reason, and the others' effects."""
    by_verdict: dict[str, list[Mapping]] = {}
    for record in claims:
        if record["id"] == clause.id and record["verdict"] != NOT_APPLICABLE:
            by_verdict.setdefault(record["verdict"], []).append(record)
    assert by_verdict, f"{clause.id} was decided, but no record of it has a verdict"
    lines = []
    for verdict, (first, *others) in by_verdict.items():
        reason = shorten(first["reason"])
        lines.append(f"- **{clause.label}** {verdict}. {reason}{say_others(others)}")
    note = f" *{clause.note}*" if isinstance(clause.note, str) else ""
    return "\n".join(lines) + note


def shorten(reason: str) -> str:
    """Cut off the trainings that a reason is conditional on."""
    return reason.split(CONDITION)[0].removesuffix(".") + "."


def say_others(records: Sequence[Mapping]) -> str:
    """Write the effects of further records with the same verdict."""
    if not records:
        return ""
    effects = (f"{say_effect(record)} at {say_origin(record['at'])}" for record in records)
    return f" Likewise: {'; '.join(effects)}."


def say_effect(record: Mapping) -> str:
    """Write a record's effect with its interval and unit."""
    number = say_number(record["effect"])
    if record["low"] is not None:
        number = f"{number} [{say_number(record['low'])}, {say_number(record['high'])}]"
    return f"{number} {record['unit']}".strip()


def count_verdicts(claims: Iterable[Mapping]) -> str:
    """Write a sentence that counts the clauses by verdict."""
    ledger = summarise_claims(list(claims))
    counts = Counter(ledger["verdict"])
    decided = len(ledger) - counts[NOT_APPLICABLE]
    if not decided:
        return (
            f"None of the {len(ledger)} clauses of the published claims can be tested by this "
            "study."
        )
    verdicts = join_words(
        f"{counts[verdict]} {words}" for verdict, words in COUNTED.items() if counts[verdict]
    )
    return (
        f"Of {len(ledger)} clauses of the published claims, {decided} can be tested here: "
        f"{verdicts}."
    )


def list_statements(claims: Iterable[Mapping], verdict: str) -> list[str]:
    """List the statements of the clauses with a verdict, each with its label."""
    ledger = summarise_claims(list(claims))
    labels, statements = label_clauses(ledger), complete_statements(ledger)
    same = ledger["verdict"] == verdict
    return [
        f"({label}) {statement}"
        for label, statement in zip(labels[same], statements[same], strict=True)
    ]


def complete_statements(ledger: pd.DataFrame) -> pd.Series:
    """Put the words of the statement before it into each statement that continues it.

    `Early layers gain more.`, `The same holds by KL divergence.` becomes `Early layers gain more,
    by KL divergence.`
    """
    continues = ledger["statement"].str.startswith(SAME)
    before = ledger["statement"].mask(continues).ffill().str.removesuffix(".")
    completed = before + ", " + ledger["statement"].str.removeprefix(SAME)
    return ledger["statement"].mask(continues, completed)
