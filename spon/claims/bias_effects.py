"""Effects in the biases alone: how alike they are, how their entries are spread, their norms.

There are no blocks of text to be uncertain about, so they are held against chance: random
directions, normal numbers, entries of random sign; and the trainings differ.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import binom, binomtest, norm

from spon import stats
from spon.claims.effects import (
    HALF,
    RUN,
    Effect,
    Evidence,
    average_runs,
    effects_per_run,
    locate_effect,
    mean_over_sites,
    normal_effect,
    not_applicable,
    rank_sites,
    ranks_per_run,
    say_number,
    select_rows,
)


def cosine_across_allocations(evidence: Evidence, first: str, second: str) -> list[Effect]:
    """Mean cosine of two allocations' biases at shared sites; the null is random directions'."""
    return effects_per_pair(evidence, first, second, mean_cosine)


def cosine_drop(evidence: Evidence, first: str, second: str, against: float) -> list[Effect]:
    """That cosine at the first shared site, less that at the last one."""
    return effects_per_pair(evidence, first, second, lambda rows: drop_cosine(rows, against))


def cosine_across_seeds(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Mean cosine of an allocation's biases of different seeds; the null is random directions'."""
    rows = select_rows(evidence, "cross_configuration", comparison="seed", allocation=allocations)
    if rows.empty:
        names = " or ".join(allocations)
        return [not_applicable(f"the study has no run of {names} with a second seed")]
    return [
        replace(
            locate_effect(mean_cosine(average_pairs(pairs)), (sparsity,), allocation),
            seeds=count_seeds(pairs),
        )
        for (sparsity, allocation), pairs in rows.groupby(["sparsity", "allocation"])
    ]


def seeds_beside_allocations(
    evidence: Evidence, first: str, second: str, against: float
) -> list[Effect]:
    """Cosine of biases across seeds less that across allocations.

    Both at the sites that the allocations share, paired by site; over all pairs of runs of the
    study.
    """
    seeds = select_rows(
        evidence, "cross_configuration", comparison="seed", allocation=[first, second]
    )
    crossed = select_allocations(evidence, first, second)
    effects = []
    for sparsity in sorted(set(seeds["sparsity"]) & set(crossed["sparsity"])):
        rows = [table[table["sparsity"] == sparsity] for table in (seeds, crossed)]
        effect = locate_effect(pair_by_site(*rows, against), (sparsity,))
        effects.append(replace(effect, seeds=count_seeds(rows[0])))
    if not effects:
        why = f"the study has no second seed of {first} or {second} where it has both"
        return [not_applicable(why)]
    return effects


def count_seeds(pairs: pd.DataFrame) -> int:
    """How many trainings take part in pairs of runs."""
    return len(set(pairs["seed"]) | set(pairs["reference_seed"]))


def pair_by_site(seeds: pd.DataFrame, crossed: pd.DataFrame, against: float) -> Effect:
    """The mean over shared sites of one cosine less the other."""
    cosines = {
        "seeds": average_pairs(seeds).set_index("site")["cosine"],
        "allocations": average_pairs(crossed).set_index("site")["cosine"],
    }
    paired = pd.concat(cosines, axis=1, join="inner")
    means = paired.mean()
    context = (
        f"{say_number(means['seeds'])} across seeds, "
        f"{say_number(means['allocations'])} across allocations"
    )
    differences = (paired["seeds"] - paired["allocations"]).to_numpy()
    return replace(mean_over_sites(differences, against), context=context)


def effects_per_pair(
    evidence: Evidence, first: str, second: str, measure: Callable[[pd.DataFrame], Effect]
) -> list[Effect]:
    """One effect for each sparsity with both allocations, averaged over seeds."""
    crossed = select_allocations(evidence, first, second)
    if crossed.empty:
        return [
            not_applicable(
                f"the study has no biases of {first} beside those of {second} "
                "at one sparsity with one seed"
            )
        ]
    return [
        locate_effect(average_runs(measure)(rows), (sparsity,))
        for sparsity, rows in crossed.groupby("sparsity")
    ]


def select_allocations(evidence: Evidence, first: str, second: str) -> pd.DataFrame:
    """Rows that compare two allocations, whichever of them is the reference."""
    both = [first, second]
    return select_rows(
        evidence, "cross_configuration", comparison="allocation", allocation=both, reference=both
    )


def average_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Cosine and null of every site, averaged over pairs of runs."""
    return rows.groupby("site", as_index=False)[["cosine", "null_95"]].mean()


def mean_cosine(rows: pd.DataFrame) -> Effect:
    """The mean over sites, beside that of random directions, which is zero."""
    # The null's quantile is 1.96 standard deviations of one cosine, to one part in 100 from 30
    # dimensions on.
    deviation = float(np.sqrt(np.sum((rows["null_95"] / HALF) ** 2)) / len(rows))
    context = f"random directions stay within {say_number(HALF * deviation)} of zero"
    effect = normal_effect(float(rows["cosine"].mean()), 0.0, deviation)
    # No cosine lies beyond 1, so the normal interval ends there.
    return replace(effect, low=max(effect.low, -1.0), high=min(effect.high, 1.0), context=context)


def drop_cosine(rows: pd.DataFrame, against: float) -> Effect:
    """The cosine at the shared site nearest the input, less that at the farthest one."""
    if len(rows) < 2:
        return not_applicable("a drop needs 2 or more shared sites")
    ends = rows.sort_values("layer").iloc[[0, -1]]
    first, last = ends["cosine"].to_numpy(float)
    # ASSUME: entries of two biases are like draws of two normal numbers with this correlation,
    # whose estimate has the error (1 - cosine²) / sqrt(d_out).
    errors = (1 - ends["cosine"] ** 2) * ends["null_95"] / HALF
    effect = normal_effect(first - last, against, float(np.sqrt(np.sum(errors**2))))
    return replace(effect, context=say_ends(first, last))


def say_ends(first: float, last: float) -> str:
    """The numbers at the first and at the last layer."""
    return f"{say_number(first)} at the first layer, {say_number(last)} at the last"


def positive_share(
    evidence: Evidence, allocations: list[str], against: float, margin: int | float
) -> list[Effect]:
    """Percent of the entries of all biases of a run that are positive; the margin is in points."""
    return effects_per_run(
        evidence,
        "bias_statistics",
        allocations,
        lambda rows: pool_signs(rows, against, float(margin)),
    )


def pool_signs(rows: pd.DataFrame, against: float, margin: float) -> Effect:
    """The sites of one run together, with the exact interval of Clopper and Pearson.

    Biases of zeros alone have no signs, and say nothing.
    """
    rows = rows.dropna(subset="positive_fraction")
    if rows.empty:
        context = "no entry but zeros"
        return Effect(against, 0.0, 100.0, 1.0, against, margin=margin, context=context)
    entries = int(rows["d_out"].sum())
    positive = int(np.rint(rows["positive_fraction"] * rows["d_out"]).sum())
    interval = binomtest(positive, entries).proportion_ci(stats.LEVEL, method="exact")
    p_value = margin_p_value(positive, entries, (against - margin) / 100, (against + margin) / 100)
    low, high = 100 * float(interval.low), 100 * float(interval.high)
    context = f"{positive:,} of {entries:,} entries"
    return Effect(
        100 * positive / entries, low, high, p_value, against, margin=margin, context=context
    )


def margin_p_value(positive: int, entries: int, low: float, high: float) -> float:
    """Exact two-sided p-value of the nearer end of a margin as the true share.

    Below 5 % where the interval of Clopper and Pearson lies inside the margin (two one-sided
    tests) or beyond an end.
    """
    if low < positive / entries < high:
        above_low = float(binom.sf(positive - 1, entries, low))
        below_high = float(binom.cdf(positive, entries, high))
        return min(1.0, 2 * max(above_low, below_high))
    below_low = float(binom.cdf(positive, entries, low))
    above_high = float(binom.sf(positive - 1, entries, high))
    return min(1.0, 2 * min(below_low, above_high))


def mean_of_entries(
    evidence: Evidence, allocations: list[str], against: float, margin: int | float
) -> list[Effect]:
    """Mean of the entries, each in units of its site's standard deviation, over all sites."""

    def pool(rows: pd.DataFrame) -> Effect:
        counts = rows["d_out"].to_numpy(float)
        mean = float(np.average(rows["mean_over_std"], weights=counts))
        return normal_effect(mean, against, float(1 / np.sqrt(counts.sum())), float(margin))

    return effects_per_run(evidence, "bias_statistics", allocations, pool)


def skewness_of_entries(
    evidence: Evidence, allocations: list[str], against: float, margin: int | float
) -> list[Effect]:
    """Skewness of a run's biases, mean over sites; the interval is that of normal numbers."""
    # ASSUME: as wide as chance makes it for normal numbers, though biases have outliers, with
    # which a skewness scatters more: so a skewness within the margin is shown too easily.

    def combine(rows: pd.DataFrame) -> Effect:
        sites = rows.dropna(subset=["skewness"])
        counts = sites["d_out"].to_numpy(float)
        variances = 6 * (counts - 2) / ((counts + 1) * (counts + 3))
        deviation = float(np.sqrt(variances.sum()) / len(sites))
        return normal_effect(float(sites["skewness"].mean()), against, deviation, float(margin))

    return effects_per_run(evidence, "bias_statistics", allocations, combine)


def tails(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Excess kurtosis of a run's biases, mean over sites; the null is that of normal numbers."""
    return effects_per_run(evidence, "bias_statistics", allocations, combine_kurtosis)


def combine_kurtosis(rows: pd.DataFrame) -> Effect:
    """The sites of one run together.

    The interval is as wide as chance makes the mean, and the sites' p-values are combined by
    Stouffer's method.
    """
    sites = rows.dropna(subset=["excess_kurtosis"])
    counts, excess = sites["d_out"].to_numpy(float), sites["excess_kurtosis"].to_numpy(float)
    null_means, null_variances = stats.kurtosis_moments(counts)
    deviation = float(np.sqrt(np.sum(null_variances)) / len(sites))
    value, null = float(excess.mean()), float(null_means.mean())
    score = float(np.sum(stats.kurtosis_score(excess, counts)) / np.sqrt(len(sites)))
    # If the mean lies on one side of chance and the scores on the other, neither side is shown.
    p_value = float(2 * norm.sf(abs(score))) if (score > 0) == (value > null) else 1.0
    lower = np.count_nonzero(excess < sites["kurtosis_null_low"])
    higher = np.count_nonzero(excess > sites["kurtosis_null_high"])
    without = say_number(float(sites["excess_kurtosis_without_outliers"].mean()))
    context = (
        f"{higher} of {len(sites)} sites above and {lower} below the range of normal numbers, "
        f"{without} without outlier coordinates"
    )
    return replace(normal_effect(value, null, deviation), p_value=p_value, context=context)


def kurtosis_with_depth(
    evidence: Evidence, allocations: list[str], against: float
) -> list[Effect]:
    """Spearman's correlation of the excess kurtosis with the layer."""
    rows = select_rows(evidence, "bias_statistics", allocation=allocations)
    return ranks_per_run(
        evidence,
        "bias_statistics",
        allocations,
        lambda run: rank_column(
            run.dropna(subset=["excess_kurtosis"]), "excess_kurtosis", against
        ),
        rows,
    )


def norm_with_depth(
    evidence: Evidence, allocations: list[str], inside: bool, against: float
) -> list[Effect]:
    """Spearman's correlation of the biases' norms with the layer.

    `inside` leaves out the layers at an allocation's edge.
    """
    where = {"boundary": False} if inside else {}
    rows = select_rows(evidence, "norm_ranking", allocation=allocations, **where)
    return ranks_per_run(
        evidence,
        "norm_ranking",
        allocations,
        lambda run: rank_column(run, "l2_norm", against),
        rows,
    )


def norm_with_damage(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Spearman's correlation of the biases' norms with TEAL's shift of their sites' outputs."""
    place = {"definition": "sound", "place": "site", "positions": "rest", "biased": True}
    shifts = select_rows(evidence, "hidden_state_shift", allocation=allocations, **place)
    norms = select_rows(evidence, "bias_statistics", allocation=allocations)
    both = [*RUN, "site"]
    rows = norms.reindex(columns=[*both, "l2_norm"]).merge(
        shifts.reindex(columns=[*both, "teal_shift"]), on=both
    )
    return ranks_per_run(
        evidence,
        "hidden_state_shift",
        allocations,
        lambda run: rank_sites(*run[["teal_shift", "l2_norm"]].to_numpy(float).T, against),
        rows,
    )


def rank_column(rows: pd.DataFrame, column: str, against: float) -> Effect:
    """Spearman's correlation of a column with the layer."""
    return rank_sites(rows["layer"].to_numpy(float), rows[column].to_numpy(float), against)
