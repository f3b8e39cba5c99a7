"""Effects that decide claims, each with its interval and p-value, and a study's evidence."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import factorial

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm, t

from spon import stats
from spon.tables.outcomes import Outcomes, read_outcomes

# Inputs of the verdicts that are no analyses.
OTHER_INPUTS = {"model", "protocol", "sites", "nll", "claims"}
BIASES_ALONE = "the study has biases alone, so no model was run on text"
RUN = ["sparsity", "allocation", "seed"]
# Half of a 95 % interval in standard deviations.
HALF = float(norm.ppf((1 + stats.LEVEL) / 2))


@dataclass(frozen=True)
class Effect:
    """A number that a claim is about, measured somewhere in a study; nan if it is not applicable.

    Attributes:
        value: In the unit of the claim, like `low`, `high` and `null`.
        low: Lower end of the 95 % interval; nan where there is none.
        p_value: Of `null`, two-sided, but of chance where a claim says that there is no effect.
        null: What the claim compares with; nan where only the p-value knows.
        sparsities: The sparsity, or two of them to compare.
        subject: The allocation or the step between two, where a claim is about several.
        seed: Of the training that it rests on; none if it compares several.
        margin: How far from `null` is still as good as `null`, where a claim says that there is
            no difference.
        context: More numbers for the reason.
        least: Set if no smaller p-value was possible: what limits it.
        missing: Why it is not applicable; empty if it is.
    """

    value: float
    low: float
    high: float
    p_value: float
    null: float
    sparsities: tuple[float, ...] = ()
    subject: str = ""
    seed: int | None = None
    margin: float = np.nan
    context: str = ""
    least: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Evidence:
    """What a study has measured, to decide claims by.

    Attributes:
        outcomes: Its evaluations; none in a study of biases alone.
        analyses: Its analyses by name, as their files are, those of all runs in one table.
    """

    outcomes: Outcomes | None
    analyses: Mapping[str, pd.DataFrame]

    def why_missing(self, analysis: str) -> str:
        """The reason why a study has no such analysis."""
        if self.outcomes is None and analysis not in self.analyses:
            return BIASES_ALONE
        return f"the study has no rows of the analysis {analysis} that it could be read from"


def read_evidence(paths: Mapping, spec: Mapping) -> Evidence:
    """Read what a study has measured.

    Args:
        paths: Files by name: `model, protocol, sites, nll` of the evaluations, and the analyses
            under their own names, one file or several; what a study does not have is empty or left
            out.
        spec: `scopes` and `statistics`, as for the tables; only read if there is `nll`.
    """
    analyses = {}
    for name in paths.keys() - OTHER_INPUTS:
        files = np.atleast_1d(paths[name]).tolist()
        if files:
            analyses[name] = pd.concat(map(pd.read_csv, files), ignore_index=True)
    return Evidence(read_outcomes(paths, spec) if paths.get("nll") else None, analyses)


def not_applicable(why: str, **location) -> Effect:
    """An effect that this study cannot measure; `why` has no full stop."""
    return Effect(np.nan, np.nan, np.nan, np.nan, np.nan, missing=why, **location)


def effects_per_run(
    evidence: Evidence,
    analysis: str,
    allocations: Iterable[str],
    measure: Callable[[pd.DataFrame], Effect],
    **where: object,
) -> list[Effect]:
    """One effect for each run of some allocations that an analysis was made for.

    Args:
        evidence: Of the study.
        analysis: Its name.
        allocations: Those that the claim is about.
        measure: From the rows of a run to its effect.
        where: Values of columns that the rows must have.
    """
    names = list(allocations)
    rows = select_rows(evidence, analysis, allocation=names, **where)
    if rows.empty:
        table = evidence.analyses.get(analysis)
        if table is None or table.empty:
            return [not_applicable(evidence.why_missing(analysis))]
        why = f"the analysis {analysis} was made for no run of {' or '.join(names)}"
        return [not_applicable(why)]
    return [
        locate_effect(measure(run), (sparsity,), int(seed), allocation)
        for (sparsity, allocation, seed), run in rows.groupby(RUN)
    ]


def select_rows(evidence: Evidence, analysis: str, **where: object) -> pd.DataFrame:
    """Rows of an analysis whose columns have one of the values; none without such an analysis."""
    rows = evidence.analyses.get(analysis, pd.DataFrame(columns=list({*RUN, *where})))
    for column, value in where.items():
        rows = rows[rows[column].isin(value if isinstance(value, list) else [value])]
    return rows


def locate_effect(
    effect: Effect, sparsities: tuple[float, ...], seed: int | None, subject: str = ""
) -> Effect:
    """Say where an effect was measured; one without a number is not applicable."""
    if not effect.missing and np.isnan([effect.value, effect.p_value]).any():
        effect = not_applicable("the analysis has no number there")
    return replace(effect, sparsities=sparsities, seed=seed, subject=subject or effect.subject)


def rank_with_depth(
    layers: Float[np.ndarray, "sites"], values: Float[np.ndarray, "sites"], against: float
) -> Effect:
    """Spearman's correlation of values with their layer; without an interval."""
    correlation = stats.rank_correlation(layers, values)
    if correlation is None:
        return not_applicable(
            "a rank correlation needs 3 or more sites of different values, "
            f"and there are {len(values)}"
        )
    rho, p_value = correlation
    limit = limit_of_ranks(len(values), p_value)
    return Effect(rho, np.nan, np.nan, p_value, against, least=limit)


def limit_of_ranks(sites: int, p_value: float) -> str:
    """What keeps an exact p-value of ranks from being smaller, if it is the smallest."""
    smallest = sites <= stats.EXACT_SITES and p_value <= 2 / factorial(sites) * (1 + 1e-9)
    return f"the least that {sites} layers can show" if smallest else ""


def mean_over_sites(values: Float[np.ndarray, "sites"], against: float) -> Effect:
    """The mean over sites with Student's interval for the spread between them."""
    if len(values) < 2:
        return not_applicable(
            f"a spread between sites needs 2 or more of them, and there are {len(values)}"
        )
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    half = float(t.ppf((1 + stats.LEVEL) / 2, len(values) - 1)) * error
    p_value = float(2 * t.sf(count_errors(mean, against, error), len(values) - 1))
    return Effect(mean, mean - half, mean + half, p_value, against)


def normal_effect(value: float, null: float, deviation: float) -> Effect:
    """A normal number with its interval and p-value; of deviation zero it is certain."""
    p_value = float(2 * norm.sf(count_errors(value, null, deviation)))
    return Effect(value, value - HALF * deviation, value + HALF * deviation, p_value, null)


def count_errors(value: float, null: float, error: float) -> float:
    """Distance from the null in standard errors.

    Returns:
        Zero at the null itself, whatever the error; infinite beside it if the error is zero.
    """
    if value == null:
        return 0.0
    return abs(value - null) / error if error else np.inf


def say_number(value: float) -> str:
    """Three significant digits; between 0.9 and 1, two digits of what is missing to 1."""
    if 0.9 < abs(value) < 1:
        decimals = 1 - int(np.floor(np.log10(1 - abs(value))))
        return f"{value:.{decimals}f}".rstrip("0")
    rounded = float(f"{value:.3g}") + 0.0  # no negative zero
    return f"{rounded:.3g}" if abs(rounded) < 1000 else f"{rounded:.0f}"


def say_interval(estimate: Effect | stats.Estimate) -> str:
    """A number with its interval, if it has one."""
    number = say_number(estimate.value)
    if np.isnan(estimate.low):
        return number
    return f"{number} [{say_number(estimate.low)}, {say_number(estimate.high)}]"
