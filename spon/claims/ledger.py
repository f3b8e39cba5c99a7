"""The ledger of claims: the findings of the published study as clauses, each with its test."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields

import yaml

from spon.claims import bias_effects, outcome_effects, state_effects
from spon.claims.effects import Effect, Evidence

DIRECTIONS = ("greater", "less", "within", "frontier")
TESTS = {
    test.__name__: test
    for test in (
        outcome_effects.damage_difference,
        outcome_effects.recovery_difference,
        outcome_effects.gain_ratio,
        outcome_effects.gain_ratio_growth,
        outcome_effects.share_difference,
        outcome_effects.on_frontier,
        outcome_effects.marginal_gain_change,
        outcome_effects.relative_gain,
        outcome_effects.relative_gain_growth,
        state_effects.shift_recovery,
        state_effects.residual_recovery,
        state_effects.shift_recovery_drop,
        state_effects.category_share,
        state_effects.held_out_cka,
        state_effects.alignment,
        bias_effects.cosine_across_allocations,
        bias_effects.cosine_drop,
        bias_effects.cosine_across_seeds,
        bias_effects.seeds_beside_allocations,
        bias_effects.positive_share,
        bias_effects.mean_of_entries,
        bias_effects.skewness_of_entries,
        bias_effects.tails,
        bias_effects.kurtosis_with_depth,
        bias_effects.norm_with_depth,
        bias_effects.norm_with_damage,
    )
}


@dataclass(frozen=True)
class Clause:
    """One statement of the published study.

    Attributes:
        id: Its name, such as `4-relative-gain`.
        claim: Number of the finding that it is a part of.
        statement: The clause itself, in one sentence.
        quantity: What the test measures, as it stands in "the quantity is 3 points".
        test: Name of one of `TESTS`.
        arguments: Of the test.
        direction: `greater` or `less` than the null, `within` a margin of it, or `frontier`: no
            rival of at most its cost is better.
        unit: Of the effect; empty if it has none.
        published: Numbers by the places where the study gives them, or words.
        against: The null value; none where the test finds its own.
        yardstick: What the null value stands for, if that is not plain, or what being on the
            frontier means.
        extension: Whether the clause is ours, as the published study does not measure it.
        retracted: What the author later took back.
        note: What else a reader should know.
    """

    id: str
    claim: int
    statement: str
    quantity: str
    test: str
    arguments: dict
    direction: str
    unit: str
    published: dict[str, float] | str
    against: float | None = None
    yardstick: str = ""
    extension: bool = False
    retracted: str | None = None
    note: str | None = None

    def measure(self, evidence: Evidence) -> list[Effect]:
        """The effects that the clause's test measures in a study."""
        return TESTS[self.test](evidence, **self.everything)

    @property
    def everything(self) -> dict:
        """The test's arguments, the null value among them."""
        if self.against is None:
            return self.arguments
        return self.arguments | {"against": self.against}


def read_claims(ledger: str | Mapping) -> list[Clause]:
    """Read the ledger.

    Args:
        ledger: Clauses by id, as YAML or already read.

    Raises:
        ValueError: A clause cannot be decided as it is written, in one sentence.
    """
    content = yaml.safe_load(ledger) if isinstance(ledger, str) else ledger
    return [read_clause(str(name), values) for name, values in content.items()]


def read_clause(name: str, values: Mapping) -> Clause:
    """Read one clause, and check that its test can take its arguments."""
    keys = {field.name: field for field in fields(Clause) if field.name != "id"}
    for key in values:
        check(name, "key", key, list(keys))
    for key, field in keys.items():
        if field.default is MISSING and key not in values:
            raise ValueError(f"claims: '{name}' lacks the key '{key}'")
    check(name, "test", values["test"], list(TESTS))
    check(name, "direction", values["direction"], list(DIRECTIONS))
    # YAML reads `1` as an integer, and the tests compute with floats.
    numbers = {"against": float(values["against"])} if "against" in values else {}
    if isinstance(values["published"], Mapping):
        numbers["published"] = {at: float(number) for at, number in values["published"].items()}
    clause = Clause(name, **(values | numbers))
    arguments = sorted(clause.everything)
    parameters = sorted(set(inspect.signature(TESTS[clause.test]).parameters) - {"evidence"})
    if arguments != parameters:
        raise ValueError(
            f"claims: '{name}' gives {clause.test} {', '.join(arguments) or 'nothing'}: "
            f"wanted is {', '.join(parameters)}"
        )
    if "measure" in clause.arguments:
        check(name, "measure", clause.arguments["measure"], list(outcome_effects.UNITS))
    return clause


def check(name: str, kind: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse a value that is not allowed in a clause."""
    if value not in allowed:
        raise ValueError(
            f"claims: '{name}' has the {kind} '{value}': allowed are {', '.join(allowed)}"
        )
