"""Effects that decide claims, each with its interval and p-value, and a study's evidence."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm, t

from spon import stats
from spon.inputs import check
from spon.tables.outcomes import Outcomes, read_outcomes

# Inputs of the verdicts that are no analyses.
OTHER_INPUTS = {"model", "protocol", "sites", "nll", "thresholds", "trainings", "claims"}
BIASES_ALONE = "the study has biases alone, so no model was run on text"
RUN = ["sparsity", "allocation", "seed"]
# Analyses of pairs, of which a study of one run has none.
MAYBE_EMPTY = {"cross_configuration"}
# Half of a 95 % interval in standard deviations.
HALF = float(norm.ppf((1 + stats.LEVEL) / 2))


@dataclass(frozen=True)
class Effect:
    """A number that a claim is about, at one place of a study; nan if it is not applicable.

    Attributes:
        value: In the unit of the claim, like `low`, `high` and `null`.
        low: Lower end of the 95 % interval; nan where there is none.
        p_value: Two-sided, of `null`, or where there is a margin, of the end of it that is nearer
            to `value`.
        null: What the claim compares with.
        margin: How far from `null` is still as good as `null`, where a claim says that there is
            no difference.
        sparsities: The sparsity, or two of them to compare.
        subject: The allocation or the step between two, where a claim is about several.
        seeds: How many trainings it is the mean of; zero if it is about none.
        by_seed: The effect of every single training.
        context: More numbers for the reason.
        least: The smallest p-value that the test could have had, if all had gone well.
        limit: What keeps the p-value from being smaller than `least`.
        holds: Whether the claim's side is the likelier one, if `value` and `null` do not say so.
        missing: Why it is not applicable; empty if it is.
    """

    value: float
    low: float
    high: float
    p_value: float
    null: float
    margin: float = np.nan
    sparsities: tuple[float, ...] = ()
    subject: str = ""
    seeds: int = 0
    by_seed: Mapping[int, "Effect"] = field(default_factory=dict)
    context: str = ""
    least: float = 0.0
    limit: str = ""
    holds: bool | None = None
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
        paths: Files by name: `model, protocol, sites, nll, thresholds` of the evaluations, and the
            analyses under their own names, one file or several; what a study does not
            have is empty or left out.
        spec: As for the tables; only read if there is `nll`.
    """
    analyses = {}
    for name in paths.keys() - OTHER_INPUTS:
        files = np.atleast_1d(paths[name]).tolist()
        if files:
            analyses[name] = read_analysis(files, is_filled=name not in MAYBE_EMPTY)
    return Evidence(read_outcomes(paths, spec) if paths.get("nll") else None, analyses)


def read_analysis(files: Iterable[str | Path], is_filled: bool) -> pd.DataFrame:
    """Read an analysis of a study, or of its runs, which have a file each.

    Raises:
        FileError: A file is damaged, lacks its rows, or is of the same run as another one.
    """
    tables, of_runs = [], {}
    for path in files:
        table = check.read_table(path, RUN, is_filled)
        numbers = table.select_dtypes("number").to_numpy(float, na_value=np.nan)
        if np.isinf(numbers).any():
            raise check.FileError(path, "has a number that is not finite")
        for run in dict.fromkeys(table[RUN].itertuples(index=False, name=None)):
            if run in of_runs:
                raise check.FileError(path, f"is of the same run as {of_runs[run]}")
            of_runs[run] = path
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


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
    """One effect for each sparsity and allocation that an analysis was made for.

    Args:
        evidence: Of the study.
        analysis: Its name.
        allocations: Those that the claim is about.
        measure: From the rows of one training to its effect; trainings are averaged.
        where: Values of columns that the rows must have.
    """
    rows = select_rows(evidence, analysis, allocation=list(allocations), **where)
    return describe_runs(evidence, analysis, allocations, rows, average_runs(measure))


def ranks_per_run(
    evidence: Evidence,
    analysis: str,
    allocations: Iterable[str],
    rank: Callable[[pd.DataFrame], Effect],
    rows: pd.DataFrame,
) -> list[Effect]:
    """The same for rank correlations over sites, of what a site has on average over trainings.

    If the values of sites are exchangeable, so are their averages: the p-value stays exact.
    """

    def rank_average(runs: pd.DataFrame) -> Effect:
        by_seed = {int(seed): rank(run) for seed, run in runs.groupby("seed")}
        average = rank(runs.groupby("site", as_index=False).mean(numeric_only=True))
        return replace(average, by_seed=by_seed, seeds=len(by_seed))

    return describe_runs(evidence, analysis, allocations, rows, rank_average)


def describe_runs(
    evidence: Evidence,
    analysis: str,
    allocations: Iterable[str],
    rows: pd.DataFrame,
    measure: Callable[[pd.DataFrame], Effect],
) -> list[Effect]:
    """The effects of each sparsity and allocation in `rows`, or why there are none."""
    if rows.empty:
        table = evidence.analyses.get(analysis)
        if table is None or table.empty:
            return [not_applicable(evidence.why_missing(analysis))]
        names = " or ".join(allocations)
        return [not_applicable(f"the analysis {analysis} was made for no run of {names}")]
    return [
        locate_effect(measure(runs), (sparsity,), allocation)
        for (sparsity, allocation), runs in rows.groupby(["sparsity", "allocation"])
    ]


def average_runs(measure: Callable[[pd.DataFrame], Effect]) -> Callable[[pd.DataFrame], Effect]:
    """The same measure for the rows of several trainings: the average of their effects."""
    return lambda runs: average_effects(
        {int(seed): measure(run) for seed, run in runs.groupby("seed")}
    )


def average_effects(by_seed: Mapping[int, Effect]) -> Effect:
    """The mean of the effects of several trainings; that of one training is conditional on it.

    The variance is that within trainings and s²/S, where s² is the variance between the S
    trainings; Student's t has as many degrees of freedom as Satterthwaite's formula gives.
    """
    measured = {seed: effect for seed, effect in by_seed.items() if not effect.missing}
    if not measured:
        return next(iter(by_seed.values()))
    first, *others = effects = list(measured.values())
    if not others:
        return replace(first, by_seed=measured, seeds=1)
    values = np.array([effect.value for effect in effects])
    # ASSUME: what is uncertain within a training, such as the text, is the same for all of them,
    # so that averaging does not make it smaller.
    within = float(np.mean([(effect.high - effect.low) / 2 / HALF for effect in effects])) ** 2
    between = float(values.var(ddof=1)) / len(values)
    variance = within + between
    degrees = (len(values) - 1) * (variance / between) ** 2 if between else np.inf
    null = float(np.mean([effect.null for effect in effects]))
    average = student_effect(float(values.mean()), np.sqrt(variance), degrees, null, first.margin)
    each = ", ".join(say_number(value) for value in values)
    return replace(
        average,
        by_seed=measured,
        seeds=len(values),
        context=f"{each} in single trainings",
    )


def select_rows(evidence: Evidence, analysis: str, **where: object) -> pd.DataFrame:
    """Rows of an analysis whose columns have one of the values; none without such an analysis."""
    rows = evidence.analyses.get(analysis, pd.DataFrame(columns=list({*RUN, *where})))
    for column, value in where.items():
        rows = rows[rows[column].isin(value if isinstance(value, list) else [value])]
    return rows


def locate_effect(effect: Effect, sparsities: tuple[float, ...], subject: str = "") -> Effect:
    """Say where an effect was measured; one without a number is not applicable."""
    if not effect.missing and np.isnan([effect.value, effect.p_value]).any():
        effect = not_applicable("the analysis has no number there")
    return replace(effect, sparsities=sparsities, subject=subject or effect.subject)


def rank_sites(
    first: Float[np.ndarray, "sites"], second: Float[np.ndarray, "sites"], against: float
) -> Effect:
    """Spearman's correlation of two numbers of every site; without an interval."""
    correlation = stats.rank_correlation(first, second)
    if correlation is None:
        return not_applicable(
            "a rank correlation needs 3 or more sites of different values, "
            f"and there are {len(second)}"
        )
    rho, p_value = correlation
    sites = len(second)
    # Beyond so many sites the p-value is that of Student's t, which has no least value.
    least = 2 / factorial(sites) if sites <= stats.EXACT_SITES else 0.0
    limit = f"the order of {sites} layers"
    return Effect(rho, np.nan, np.nan, p_value, against, least=least, limit=limit)


def mean_over_sites(values: Float[np.ndarray, "sites"], against: float) -> Effect:
    """The mean over sites with Student's interval for the spread between them."""
    if len(values) < 2:
        return not_applicable(
            f"a spread between sites needs 2 or more of them, and there are {len(values)}"
        )
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return student_effect(float(values.mean()), error, len(values) - 1, against)


def student_effect(
    value: float, error: float, degrees: int | float, null: float, margin: float = np.nan
) -> Effect:
    """A number with Student's interval and p-value; of error zero it is certain."""
    half = float(t.ppf((1 + stats.LEVEL) / 2, degrees)) * error
    tested = nearer_end(value, null, margin)
    p_value = float(2 * t.sf(count_errors(value, tested, error), degrees))
    return Effect(value, value - half, value + half, p_value, null, margin=margin)


def normal_effect(value: float, null: float, deviation: float, margin: float = np.nan) -> Effect:
    """A normal number with its interval and p-value; of deviation zero it is certain."""
    return student_effect(value, deviation, np.inf, null, margin)


def nearer_end(value: float, null: float, margin: float) -> float:
    """The end of the margin that is nearer to a value; without a margin the null itself.

    A value is shown to lie within a margin, by two one-sided tests, or beyond it, where its
    two-sided test against the nearer end is below 5 %: where its 95 % interval does.
    """
    if np.isnan(margin):
        return null
    return null + margin if value > null else null - margin


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
