"""Describe the verdicts on the published claims: one table, and the reasons behind it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from spon.claims.effects import say_number
from spon.claims.verdicts import CONTRADICTED, NOT_APPLICABLE
from spon.report.markdown import (
    join_blocks,
    join_words,
    say_origin,
    write_table,
)
from spon.report.sections.results import LEVEL

MIXED = "mixed"
OURS = "*(ours)*"
SMALLER = "supported, smaller"
AGAINST = (CONTRADICTED, SMALLER)
# Up to so many places stand in a cell one by one; of more, the range of their effects does.
FEW = 3
# Every reason ends with the trainings that it is conditional on.
CONDITION = "; conditional on "


@dataclass(frozen=True)
class Clause:
    """A clause of the published claims with its records, one for each place.

    Attributes:
        label: The claim's number and a letter: `1a`.
        records: As `decide_claims` writes them; at least one.
    """

    label: str
    records: Sequence[Mapping]

    @property
    def statement(self) -> str:
        """What is claimed."""
        return self.records[0]["statement"]

    @property
    def decided(self) -> list[Mapping]:
        """The records with a verdict; none if this study has nothing to decide the clause by."""
        return [one for one in self.records if one["verdict"] != NOT_APPLICABLE]

    @property
    def published(self) -> list[Mapping]:
        """The decided records at places that the published study has."""
        return [one for one in self.decided if not one["extension"]]

    @property
    def is_ours(self) -> bool:
        """Whether no place of the clause is in the published study."""
        return all(one["extension"] for one in self.records)

    @property
    def verdict(self) -> str:
        """The verdict wherever it is decided, at published places if there are any; or mixed."""
        verdicts = {one["verdict"] for one in self.published or self.decided}
        if not verdicts:
            return NOT_APPLICABLE
        return verdicts.pop() if len(verdicts) == 1 else MIXED


def group_clauses(claims: Iterable[Mapping]) -> list[Clause]:
    """Group records by clause, in their order, and label the clauses of each claim by letters."""
    by_id: dict[str, list[Mapping]] = {}
    for record in claims:
        by_id.setdefault(record["id"], []).append(record)
    letters: Counter = Counter()
    clauses = []
    for records in by_id.values():
        claim = records[0]["claim"]
        clauses.append(Clause(f"{claim}{ascii_lowercase[letters[claim]]}", records))
        letters[claim] += 1
    return clauses


def describe_claims(claims: Sequence[Mapping]) -> str:
    """Write the ledger as one table: claim, published value, ours, verdict."""
    introduction = (
        "The claims of Waghela's *SPON Extensions*, clause by clause. **Supported**: the effect "
        f"has the stated sign {LEVEL}, or lies within the margin of a claim of no effect; "
        "**supported, smaller**: the sign holds, the published size does not; **contradicted**: "
        "the other sign, or beyond the margin; **indistinguishable**: none of these. P-values are "
        f"Holm-adjusted over the places of a clause. {OURS} marks what the published study did "
        "not measure."
    )
    header = ["", "claim", "published", "ours [95 %]", "verdict"]
    rows = [describe_clause(clause) for clause in group_clauses(claims) if clause.decided]
    if not rows:
        return count_verdicts(claims)
    return join_blocks(introduction, write_table(header, rows, words=5))


def describe_clause(clause: Clause) -> list[str]:
    """Return the cells of one clause."""
    statement = f"{clause.statement} {OURS}" if clause.is_ours else clause.statement
    return [
        clause.label,
        statement,
        say_published(clause.records),
        say_effects(clause),
        say_verdicts(clause),
    ]


def say_published(records: Sequence[Mapping]) -> str:
    """Write the published numbers with their places, or the published words."""
    words = [one["published"] for one in records if isinstance(one["published"], str)]
    if words:
        return words[0]
    places = {one["at"].split(" seed")[0]: one for one in records if one["published"] is not None}
    if not places:
        return "none"
    unit = records[0]["unit"]
    if len(places) > FEW:
        return say_range_of([one["published"] for one in places.values()], unit)
    numbers = (f"{say_number(one['published'])} ({say_origin(at)})" for at, one in places.items())
    return f"{', '.join(numbers)} {unit}".strip()


def say_range_of(numbers: Sequence[float], unit: str) -> str:
    """Write the smallest and the largest of the effects at several places."""
    low, high = say_number(min(numbers)), say_number(max(numbers))
    return f"{low} to {high} {unit}".strip() + f" ({len(numbers)} places)"


def say_effects(clause: Clause) -> str:
    """Write the effects of a clause, place by place, or their range if the places are many."""
    unit = clause.records[0]["unit"]
    if len(clause.decided) > FEW + 1:
        return say_range_of([one["effect"] for one in clause.decided], unit)
    effects = "; ".join(say_effect(one, clause) for one in clause.decided)
    return f"{effects} {unit}".strip()


def say_effect(record: Mapping, clause: Clause) -> str:
    """Write the effect at one place with its interval, behind the name of the place."""
    number = say_number(record["effect"])
    if record["low"] is not None:
        number = f"{number} [{say_number(record['low'])}, {say_number(record['high'])}]"
    ours = f" {OURS}" if record["extension"] and not clause.is_ours else ""
    return f"{say_origin(record['at'])}{ours}: {number}"


def say_verdicts(clause: Clause) -> str:
    """Write the verdict of a clause, and apart from it that at our own places if it differs."""
    verdict = say_verdict(clause.published or clause.decided)
    ours = [one for one in clause.decided if one["extension"]]
    if not clause.published or not ours or say_verdict(ours) == verdict:
        return verdict
    return f"{verdict}; ours: {say_verdict(ours)}"


def say_verdict(records: Sequence[Mapping]) -> str:
    """Write the one verdict of some places, or each verdict with its places."""
    places: dict[str, list[str]] = {}
    for record in records:
        places.setdefault(record["verdict"], []).append(say_origin(record["at"]))
    if len(places) == 1:
        return f"**{[*places][0]}**"
    verdicts = (f"{verdict} at {say_places(at)}" for verdict, at in places.items())
    return f"**{MIXED}**: {'; '.join(verdicts)}"


def say_places(places: Sequence[str]) -> str:
    """Name a few places, or count many."""
    return ", ".join(places) if len(places) <= FEW else f"{len(places)} places"


def describe_reasons(claims: Sequence[Mapping]) -> str:
    """Write why clauses come out against the published study, and what cannot be decided."""
    clauses = group_clauses(claims)
    decided = [clause for clause in clauses if clause.decided]
    lines = [line for line in map(explain, decided) if line]
    introduction = (
        "Why clauses are contradicted or come out smaller, at the first such place, and what is "
        "known of published numbers. Every reason, with p-values, stands in `claims.json`."
    )
    return join_blocks(
        introduction if lines else "",
        "\n".join(lines),
        describe_retractions(decided),
        describe_undecided(clauses),
    )


def explain(clause: Clause) -> str:
    """Write the first reason against a clause, and its note; nothing if it has neither."""
    against = [one for one in clause.decided if one["verdict"] in AGAINST]
    words = [f"{shorten(one['reason'])}{say_trainings(one)}" for one in against[:1]]
    words += [f"*{clause.records[0]['note']}*"] if clause.records[0]["note"] else []
    return f"- **{clause.label}** {' '.join(words)}" if words else ""


def shorten(reason: str) -> str:
    """Cut off the p-values of a reason, and the trainings that it is conditional on."""
    return reason.split(" (p ")[0].split(CONDITION)[0].removesuffix(".") + "."


def say_trainings(record: Mapping) -> str:
    """Write the effects of single trainings, if there are several."""
    effects = [one["effect"] for one in record["by_seed"] if one["effect"] is not None]
    if len(effects) < 2:
        return ""
    return f" Single trainings: {', '.join(say_number(effect) for effect in effects)}."


def describe_retractions(decided: Sequence[Clause]) -> str:
    """Write each retraction by the author once, though several clauses may have it."""
    retracted: dict[str, Clause] = {}
    for clause in decided:
        if clause.records[0]["retracted"]:
            retracted.setdefault(clause.records[0]["retracted"], clause)
    lines = [
        f"**Later retracted** (claim {clause.records[0]['claim']}). {words}"
        for words, clause in retracted.items()
    ]
    return join_blocks(*lines)


def describe_undecided(clauses: Sequence[Clause]) -> str:
    """List the clauses that this study cannot decide, by reason."""
    by_reason: dict[str, list[str]] = {}
    for clause in clauses:
        if not clause.decided:
            by_reason.setdefault(clause.records[0]["reason"], []).append(clause.label)
    lines = [f"- {join_words(labels)}: {reason}" for reason, labels in by_reason.items()]
    return join_blocks("Not applicable here:", "\n".join(lines)) if lines else ""


def count_verdicts(claims: Iterable[Mapping]) -> str:
    """Write a sentence that counts the published clauses by verdict, and one that counts ours."""
    clauses = group_clauses(claims)
    decided = [clause for clause in clauses if clause.decided]
    if not decided:
        return f"None of the {len(clauses)} clauses of the published claims can be tested here."
    published = [clause for clause in clauses if not clause.is_ours]
    ours = [clause for clause in clauses if clause.is_ours]
    sentences = [f"Of {len(published)} published clauses {say_counts(published)}."]
    if ours:
        sentences.append(f"Of {len(ours)} clauses of ours {say_counts(ours)}.")
    return " ".join(sentences)


def say_counts(clauses: Sequence[Clause]) -> str:
    """Count clauses by verdict: `5 are supported, 2 mixed (by place)`."""
    counts = Counter(clause.verdict for clause in clauses)
    words = [f"{count} {verdict}" for verdict, count in counts.most_common()]
    return f"come out {join_words(words)}"


def list_labels(claims: Iterable[Mapping], verdict: str) -> str:
    """List the labels of the clauses with a verdict: `2b, 3a`."""
    return ", ".join(clause.label for clause in group_clauses(claims) if clause.verdict == verdict)
