"""Effects that the analyses show: claims about hidden states, and about biases alone.

Biases alone are judged against what chance would show (random directions, normal numbers, entries of random sign) and
against other seeds, as there are no blocks of text to draw from.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import binom, binomtest, combine_pvalues, norm

from spon import stats
from spon.claims.effects import (
    HALF,
    Effect,
    Evidence,
    effects_per_run,
    mean_over_sites,
    normal_effect,
    not_applicable,
    place_effect,
    rank_with_depth,
    say_number,
    select_rows,
)

SHIFT = {"analysis": "hidden_state_shift", "definition": "sound", "positions": "rest"}


def shift_recovery(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's shift that biases take away at the biased sites, inside the sparsified model."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: read_recovery(rows.iloc[0], against),
        place="site",
        site="all",
        **SHIFT,
    )


def residual_recovery(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's shift that biases take away in the residual stream behind the last layer."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: read_recovery(rows.sort_values("layer").iloc[-1], against),
        place="residual",
        **SHIFT,
    )


def read_recovery(row: pd.Series, against: float) -> Effect:
    """A row's recovery."""
    if np.isnan(row["p_value"]):
        return not_applicable("TEAL shifts nothing there")
    return Effect(
        *(
            float(row[name])
            for name in ("recovery_percent", "recovery_low", "recovery_high", "p_value")
        ),
        null=against,
        context=f"shift {say_number(row['spon_shift'])} under SPON, {say_number(row['teal_shift'])} under TEAL",
    )


def shift_recovery_with_depth(
    evidence: Evidence, allocations: list[str], against: float
) -> list[Effect]:
    """Spearman's correlation of that recovery with depth, over the biased sites."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: rank_column(rows[rows["site"] != "all"], "recovery_percent", against),
        place="site",
        biased=True,
        **SHIFT,
    )


def rank_column(rows: pd.DataFrame, column: str, against: float) -> Effect:
    """Spearman's correlation of a column with the layer."""
    return rank_with_depth(rows["layer"].to_numpy(float), rows[column].to_numpy(float), against)


def category_share(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Percent of the variance of the prompts' mean shifts that lies between their categories."""
    return effects_per_run(
        evidence,
        "category_shift",
        allocations,
        lambda rows: read_category_share(rows.iloc[0]),
        definition="sound",
        category="prompts",
        site="all",
    )


def read_category_share(row: pd.Series) -> Effect:
    """The share of one run; chance is the prompts dealt to categories at random, of which only the p-value is known."""
    return Effect(
        100 * float(row["category_share"]), np.nan, np.nan, float(row["category_p"]), np.nan
    )


def held_out_cka(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Linear CKA of dense and biased sparse outputs on tokens of held-out text, mean over sites."""
    return effects_per_run(
        evidence,
        "category_shift",
        allocations,
        lambda rows: read_cka(rows.iloc[0], against),
        definition="sound",
        category="held_out",
        site="all",
    )


def read_cka(row: pd.Series, against: float) -> Effect:
    """The CKA of one run, with the interval over groups of blocks."""
    value, low, high = (float(row[name]) for name in ("cka", "cka_low", "cka_high"))
    # ASSUME: normal, for the analysis gives an interval and no p-value.
    found = normal_effect(value, against, (high - low) / 2 / HALF)
    context = f"{row['cka_noised']:.5f} with noise of the shift's size instead of the shift"
    return replace(found, low=low, high=high, context=context)


def cosine_across_allocations(evidence: Evidence, first: str, second: str) -> list[Effect]:
    """Mean cosine of two allocations' biases at the sites that they share; the null is that of random directions."""
    return effects_per_pair(evidence, first, second, mean_cosine)


def cosine_with_depth(evidence: Evidence, first: str, second: str, against: float) -> list[Effect]:
    """Spearman's correlation of that cosine with depth."""
    return effects_per_pair(
        evidence, first, second, lambda rows: rank_column(rows, "cosine", against)
    )


def cosine_across_seeds(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Mean cosine of two trainings of an allocation with different seeds; the null is that of random directions."""
    rows = select_rows(evidence, "cross_configuration", comparison="seed", allocation=allocations)
    return [
        place_effect(mean_cosine(average_pairs(pairs)), (sparsity,), None, allocation)
        for (sparsity, allocation), pairs in rows.groupby(["sparsity", "allocation"])
    ] or [not_applicable(f"the study has no run of {' or '.join(allocations)} with a second seed")]


def seeds_beside_allocations(
    evidence: Evidence, first: str, second: str, against: float
) -> list[Effect]:
    """Cosine of trainings that differ in their seed less that of trainings that differ in their allocation.

    Both at the sites that the allocations share, paired by site; over all pairs of runs that the study has.
    """
    seeds = select_rows(
        evidence, "cross_configuration", comparison="seed", allocation=[first, second]
    )
    crossed = select_allocations(evidence, first, second)
    both = sorted(set(seeds["sparsity"]) & set(crossed["sparsity"]))
    return [
        place_effect(
            pair_by_site(
                *(rows[rows["sparsity"] == sparsity] for rows in (seeds, crossed)), against
            ),
            (sparsity,),
            None,
        )
        for sparsity in both
    ] or [not_applicable(f"the study has no second seed of {first} or {second} where it has both")]


def pair_by_site(seeds: pd.DataFrame, crossed: pd.DataFrame, against: float) -> Effect:
    """The mean over shared sites of one cosine less the other."""
    first, second = (average_pairs(rows).set_index("site")["cosine"] for rows in (seeds, crossed))
    paired = pd.concat([first.rename("seeds"), second.rename("allocations")], axis=1, join="inner")
    means = paired.mean()
    context = f"{say_number(means['seeds'])} across seeds, {say_number(means['allocations'])} across allocations"
    return replace(
        mean_over_sites((paired["seeds"] - paired["allocations"]).to_numpy(), against),
        context=context,
    )


def effects_per_pair(
    evidence: Evidence, first: str, second: str, measure: Callable[[pd.DataFrame], Effect]
) -> list[Effect]:
    """One effect for each sparsity and seed at which the study has both allocations."""
    return [
        place_effect(measure(rows), (sparsity,), int(seed))
        for (sparsity, seed), rows in select_allocations(evidence, first, second).groupby(
            ["sparsity", "seed"]
        )
    ] or [
        not_applicable(
            f"the study has no biases of {first} beside those of {second} at one sparsity with one seed"
        )
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
    # The null's quantile is 1.96 standard deviations of one cosine, to one part in 100 from 30 dimensions on.
    deviation = float(np.sqrt(np.sum((rows["null_95"] / HALF) ** 2)) / len(rows))
    context = f"random directions stay within {say_number(HALF * deviation)} of zero"
    found = normal_effect(float(rows["cosine"].mean()), 0.0, deviation)
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0), context=context)


def alignment(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Largest |cosine| of a bias with principal components, mean over sites; the null is that of random directions."""
    return effects_per_run(
        evidence, "pca_alignment", allocations, combine_alignment, definition="sound"
    )


def combine_alignment(rows: pd.DataFrame) -> Effect:
    """The sites of one run; their p-values are combined by Fisher's method."""
    sites = rows.drop_duplicates("site")
    p_value = float(combine_pvalues(sites["p_value"].to_numpy(float), method="fisher").pvalue)
    context = f"95 % of random directions stay under {say_number(float(sites['null_95'].mean()))} at a site"
    value, null = float(sites["max_abs_cosine"].mean()), float(sites["null_mean"].mean())
    return Effect(value, np.nan, np.nan, p_value, null, context=context)


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
    """The sites of one run together, with the exact interval of Clopper and Pearson."""
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
    """Two-sided p-value of a share that stands at the end of a margin, exact.

    Below 5 % where the interval of Clopper and Pearson lies inside the margin (two one-sided tests) or beyond an end.
    """
    above, below = (
        float(binom.sf(positive - 1, entries, low)),
        float(binom.cdf(positive, entries, high)),
    )
    if low < positive / entries < high:
        return min(1.0, 2 * max(above, below))
    beyond = min(
        float(binom.cdf(positive, entries, low)), float(binom.sf(positive - 1, entries, high))
    )
    return min(1.0, 2 * beyond)


def tails(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Excess kurtosis of the biases of a run, mean over sites; the null is that of as many normal numbers."""
    return effects_per_run(evidence, "bias_statistics", allocations, combine_kurtosis)


def combine_kurtosis(rows: pd.DataFrame) -> Effect:
    """The sites of one run; the interval is as wide as chance, and their p-values are combined by Stouffer's method."""
    sites = rows.dropna(subset=["excess_kurtosis"])
    counts, found = sites["d_out"].to_numpy(float), sites["excess_kurtosis"].to_numpy(float)
    deviation = float(np.sqrt(np.sum(kurtosis_moments(counts)[1])) / len(sites))
    value, null = float(found.mean()), float(kurtosis_moments(counts)[0].mean())
    score = float(np.sum(kurtosis_score(found, counts)) / np.sqrt(len(sites)))
    # The mean and the scores can lie on different sides, which says nothing of either.
    p_value = float(2 * norm.sf(abs(score))) if (score > 0) == (value > null) else 1.0
    lower = np.count_nonzero(found < sites["kurtosis_null_low"])
    higher = np.count_nonzero(found > sites["kurtosis_null_high"])
    without = say_number(float(sites["excess_kurtosis_without_outliers"].mean()))
    context = (
        f"{higher} of {len(sites)} sites above and {lower} below the range of normal numbers, "
        f"{without} without outlier coordinates"
    )
    return replace(normal_effect(value, null, deviation), p_value=p_value, context=context)


def kurtosis_moments(
    counts: Float[np.ndarray, "sites"],
) -> tuple[Float[np.ndarray, "sites"], Float[np.ndarray, "sites"]]:
    """Mean and variance of the excess kurtosis of so many normal numbers."""
    n = counts
    return -6 / (n + 1), 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))


def kurtosis_score(
    excess: Float[np.ndarray, "sites"], counts: Float[np.ndarray, "sites"]
) -> Float[np.ndarray, "sites"]:
    """The test of Anscombe and Glynn (1983), scipy's `kurtosistest`, from the kurtosis: a standard normal number."""
    n = counts
    mean, variance = kurtosis_moments(n)
    skewness = (
        6
        * (n * n - 5 * n + 2)
        / ((n + 7) * (n + 9))
        * np.sqrt(6 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)))
    )
    a = 6 + 8 / skewness * (2 / skewness + np.sqrt(1 + 4 / skewness**2))
    root = np.cbrt((1 - 2 / a) / (1 + (excess - mean) / np.sqrt(variance) * np.sqrt(2 / (a - 4))))
    return (1 - 2 / (9 * a) - root) / np.sqrt(2 / (9 * a))


def norm_with_depth(
    evidence: Evidence, allocations: list[str], inside: bool, against: float
) -> list[Effect]:
    """Spearman's correlation of the biases' norms with depth; `inside` leaves out layers at an allocation's edge."""
    return effects_per_run(
        evidence,
        "norm_ranking",
        allocations,
        lambda rows: rank_column(rows[~rows["boundary"]] if inside else rows, "l2_norm", against),
    )
