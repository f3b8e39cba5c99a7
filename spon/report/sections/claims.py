"""Describe the verdicts on the published claims: one table, and the reasons behind it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from spon.claims.effects import say_number
from spon.claims.verdicts import (
    CONTRADICTED,
    INDISTINGUISHABLE,
    MIXED,
    NOT_APPLICABLE,
    SMALLER,
    SUPPORTED,
    join_verdicts,
)
from spon.report.markdown import (
    join_blocks,
    join_words,
    say_origin,
    write_table,
)
from spon.report.sections.results import LEVEL

OURS = "*(ours)*"
# The verdicts in the order in which they are counted.
COUNTED = (SUPPORTED, SMALLER, CONTRADICTED, MIXED, INDISTINGUISHABLE, NOT_APPLICABLE)
# Differences in nats are written in thousandths.
NATS, MILLINATS = "nats per token", "thousandths of a nat"
# Up to so many places stand in a cell one by one; of more, the range of their effects does. So
# many reasons are given, too.
FEW = 2


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
    def is_ours(self) -> bool:
        """Whether no place of the clause is in the published study."""
        return all(one["extension"] for one in self.records)

    @property
    def compared(self) -> list[Mapping]:
        """The decided records at published places, or all of a clause that is ours."""
        return [one for one in self.decided if self.is_ours or not one["extension"]]

    @property
    def verdict(self) -> str:
        """The verdict at published places, or wherever a clause that is ours is decided."""
        return join_verdicts(self.compared or self.decided or self.records)

    @property
    def unit(self) -> str:
        """The unit that effects are written in."""
        unit = self.records[0]["unit"]
        return MILLINATS if unit == NATS else unit

    def say(self, number: float) -> str:
        """Write an effect, or a bound of it, in the clause's unit."""
        return say_number(1000 * number if self.unit == MILLINATS else number)


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
        f"The claims of Waghela's *SPON Extensions*, clause by clause, decided {LEVEL} "
        "(Holm-adjusted over the places of a clause). *Smaller*: the sign holds, the published "
        f"size does not. *Indistinguishable*: neither side is shown. {OURS}: not measured in the "
        "published study; places of ours are named where they differ."
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
        say_published(clause),
        say_effects(clause),
        say_verdicts(clause),
    ]


def say_published(clause: Clause) -> str:
    """Write the published numbers with their places, or the published words."""
    published = [one["published"] for one in clause.records]
    words = [one for one in published if isinstance(one, str)]
    if words:
        return words[0]
    places = [one for one in clause.records if one["published"] is not None]
    if not places:
        return "none"
    if len(places) > FEW:
        return say_range_of([one["published"] for one in places], clause)
    numbers = (f"{clause.say(one['published'])} ({say_origin(one['at'])})" for one in places)
    return f"{', '.join(numbers)} {clause.unit}".strip()


def say_range_of(numbers: Sequence[float], clause: Clause) -> str:
    """Write the smallest and the largest of the numbers at several places."""
    low, high = clause.say(min(numbers)), clause.say(max(numbers))
    return f"{low} to {high} {clause.unit}".strip() + f" ({len(numbers)} places)"


def say_effects(clause: Clause) -> str:
    """Write the effects of a clause, place by place, or their range if the places are many."""
    places = clause.compared or clause.decided
    if len(places) > FEW:
        return say_range_of([one["effect"] for one in places], clause)
    effects = "; ".join(f"{say_origin(one['at'])}: {say_effect(one, clause)}" for one in places)
    return f"{effects} {clause.unit}".strip()


def say_effect(record: Mapping, clause: Clause) -> str:
    """Write the effect at one place with its interval."""
    number = clause.say(record["effect"])
    if record["low"] is None:
        return number
    return f"{number} [{clause.say(record['low'])}, {clause.say(record['high'])}]"


def say_verdicts(clause: Clause) -> str:
    """Write the verdict of a clause, and apart from it that at our own places if it differs."""
    verdict = say_verdict(clause.compared or clause.decided)
    ours = [one for one in clause.decided if one not in clause.compared]
    if not clause.compared or not ours or say_verdict(ours) == verdict:
        return verdict
    if len(ours) > FEW:
        return f"{verdict}; {OURS} {join_verdicts(ours)}"
    apart = (f"{say_origin(one['at'])} {OURS} {one['verdict']}" for one in ours)
    return f"{verdict}; {', '.join(apart)}"


def say_verdict(records: Sequence[Mapping]) -> str:
    """Write the one verdict of some places, or each verdict with its places."""
    verdict = join_verdicts(records)
    if verdict != MIXED:
        return f"**{verdict}**"
    places: dict[str, list[str]] = {}
    for record in records:
        places.setdefault(record["verdict"], []).append(say_origin(record["at"]))
    verdicts = (f"{one} at {say_places(at)}" for one, at in places.items())
    return f"**{MIXED}**: {'; '.join(verdicts)}"


def say_places(places: Sequence[str]) -> str:
    """Name a few places, or count many."""
    return ", ".join(places) if len(places) <= FEW else f"{len(places)} places"


def describe_reasons(claims: Sequence[Mapping]) -> str:
    """Write what is known of clauses that are contradicted, and what cannot be decided."""
    clauses = group_clauses(claims)
    decided = [clause for clause in clauses if clause.decided]
    against = [one for one in decided if one.verdict == CONTRADICTED and not one.is_ours]
    lines = [f"- **{clause.label}** {explain(clause)}" for clause in against]
    introduction = (
        "What is known of published clauses that are contradicted. The reasons of all verdicts, "
        "with p-values and single trainings, stand in `claims.json`."
    )
    return join_blocks(
        introduction if lines else "",
        "\n".join(lines),
        describe_retractions(decided),
        describe_undecided(clauses),
    )


def explain(clause: Clause) -> str:
    """Write what is known of the published number, or else the first reason against a clause."""
    against = next(one for one in clause.compared if one["verdict"] == CONTRADICTED)
    return clause.records[0]["note"] or against["reason"]


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
    """List the clauses that this study cannot decide, by reason if there are few reasons."""
    by_reason: dict[str, list[str]] = {}
    for clause in clauses:
        if not clause.decided:
            by_reason.setdefault(clause.records[0]["reason"], []).append(clause.label)
    if len(by_reason) > FEW:
        labels = join_words(sorted(label for group in by_reason.values() for label in group))
        return f"Not applicable here: {labels}."
    lines = [f"- {join_words(labels)}: {reason}" for reason, labels in by_reason.items()]
    return join_blocks("Not applicable here:", "\n".join(lines)) if lines else ""


def count_verdicts(claims: Iterable[Mapping]) -> str:
    """Write a sentence that counts the published clauses by verdict, and one that counts ours."""
    clauses = group_clauses(claims)
    if not any(clause.decided for clause in clauses):
        return f"None of the {len(clauses)} clauses of the published claims can be tested here."
    published = [clause for clause in clauses if not clause.is_ours]
    ours = [clause for clause in clauses if clause.is_ours]
    sentences = [f"Of {len(published)} published clauses, {say_counts(published)}."]
    if ours:
        sentences.append(f"Of {len(ours)} clauses of ours, {say_counts(ours)}.")
    return " ".join(sentences)


def say_counts(clauses: Sequence[Clause]) -> str:
    """Count clauses by verdict: `5 are *supported* and 2 *contradicted*`."""
    counts = Counter(clause.verdict for clause in clauses)
    words = [f"{counts[one]} *{one}*" for one in COUNTED if counts[one]]
    number, _, rest = join_words(words).partition(" ")
    return f"{number} {'is' if number == '1' else 'are'} {rest}"


def list_labels(claims: Iterable[Mapping], verdict: str) -> str:
    """List the labels of the published clauses with a verdict: `2b, 3a`."""
    return ", ".join(
        clause.label
        for clause in group_clauses(claims)
        if clause.verdict == verdict and not clause.is_ours
    )
