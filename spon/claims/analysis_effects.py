"""Effects in the analyses: claims about hidden states, and about biases alone.

Biases alone are judged against chance (random directions, normal numbers, entries of random sign)
and against other seeds, as there are no blocks of text to draw from.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import binom, binomtest, combine_pvalues, norm

from spon import stats
from spon.claims.effects import (
    HALF,
    Effect,
    Evidence,
    effects_per_run,
    locate_effect,
    mean_over_sites,
    normal_effect,
    not_applicable,
    rank_with_depth,
    say_number,
    select_rows,
)

SHIFT = {"analysis": "hidden_state_shift", "definition": "sound", "positions": "rest"}


def shift_recovery(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's shift that biases take away at the biased sites, in the sparse model."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: read_recovery(rows.iloc[0], against),
        place="site",
        site="all",
        **SHIFT,
    )


def residual_recovery(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Percent of TEAL's shift that biases take away in the residual stream, behind all layers."""
    return effects_per_run(
        evidence,
        allocations=allocations,
        measure=lambda rows: read_recovery(rows.sort_values("layer").iloc[-1], against),
        place="residual",
        **SHIFT,
    )


def read_recovery(row: pd.Series, against: float) -> Effect:
    """The recovery in a row, with its interval."""
    if np.isnan(row["p_value"]):
        return not_applicable("TEAL shifts nothing there")
    spon, teal = say_number(row["spon_shift"]), say_number(row["teal_shift"])
    return Effect(
        float(row["recovery_percent"]),
        float(row["recovery_low"]),
        float(row["recovery_high"]),
        float(row["p_value"]),
        null=against,
        context=f"shift {spon} under SPON, {teal} under TEAL",
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
    """The share of one run, without an interval and a null value.

    Chance is the prompts dealt to categories at random, of which only the p-value is known.
    """
    share = 100 * float(row["category_share"])
    return Effect(share, np.nan, np.nan, float(row["category_p"]), np.nan)


def held_out_cka(evidence: Evidence, allocations: list[str], against: float) -> list[Effect]:
    """Linear CKA of dense and biased sparse outputs on held-out text, mean over sites."""
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
    effect = normal_effect(value, against, (high - low) / 2 / HALF)
    context = f"{row['cka_noised']:.5f} with noise of the shift's size instead of the shift"
    return replace(effect, low=low, high=high, context=context)


def cosine_across_allocations(evidence: Evidence, first: str, second: str) -> list[Effect]:
    """Mean cosine of two allocations' biases at shared sites; the null is random directions'."""
    return effects_per_pair(evidence, first, second, mean_cosine)


def cosine_with_depth(evidence: Evidence, first: str, second: str, against: float) -> list[Effect]:
    """Spearman's correlation of that cosine with depth."""
    return effects_per_pair(
        evidence, first, second, lambda rows: rank_column(rows, "cosine", against)
    )


def cosine_across_seeds(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Mean cosine of an allocation's biases of different seeds; the null is random directions'."""
    rows = select_rows(evidence, "cross_configuration", comparison="seed", allocation=allocations)
    if rows.empty:
        names = " or ".join(allocations)
        return [not_applicable(f"the study has no run of {names} with a second seed")]
    return [
        locate_effect(mean_cosine(average_pairs(pairs)), (sparsity,), None, allocation)
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
        rows = (table[table["sparsity"] == sparsity] for table in (seeds, crossed))
        effects.append(locate_effect(pair_by_site(*rows, against), (sparsity,), None))
    if not effects:
        why = f"the study has no second seed of {first} or {second} where it has both"
        return [not_applicable(why)]
    return effects


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
    """One effect for each sparsity and seed at which the study has both allocations."""
    crossed = select_allocations(evidence, first, second)
    if crossed.empty:
        return [
            not_applicable(
                f"the study has no biases of {first} beside those of {second} "
                "at one sparsity with one seed"
            )
        ]
    return [
        locate_effect(measure(rows), (sparsity,), int(seed))
        for (sparsity, seed), rows in crossed.groupby(["sparsity", "seed"])
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


def alignment(evidence: Evidence, allocations: list[str]) -> list[Effect]:
    """Largest |cosine| of a bias with principal components, mean over sites.

    The null is that of random directions.
    """
    return effects_per_run(
        evidence, "pca_alignment", allocations, combine_alignment, definition="sound"
    )


def combine_alignment(rows: pd.DataFrame) -> Effect:
    """The sites of one run together; their p-values are combined by Fisher's method."""
    sites = rows.drop_duplicates("site")
    p_value = float(combine_pvalues(sites["p_value"].to_numpy(float), method="fisher").pvalue)
    bound = say_number(float(sites["null_95"].mean()))
    context = f"95 % of random directions stay under {bound} at a site"
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


def norm_with_depth(
    evidence: Evidence, allocations: list[str], inside: bool, against: float
) -> list[Effect]:
    """Spearman's correlation of the biases' norms with depth.

    `inside` leaves out the layers at an allocation's edge.
    """

    def rank_norms(rows: pd.DataFrame) -> Effect:
        ranked = rows[~rows["boundary"]] if inside else rows
        return rank_column(ranked, "l2_norm", against)

    return effects_per_run(evidence, "norm_ranking", allocations, rank_norms)
