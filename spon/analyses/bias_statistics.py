"""Describe biases: size, signs, tails and outliers of their entries; likeness of neighbours."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int
from scipy.stats import binomtest, median_abs_deviation, norm, normaltest

from spon import stats
from spon.analyses import chance
from spon.analyses.runs import Run
from spon.sites import describe_site, layer_of, map_of, name_site

# The published definition adds this to std⁴, which is as small in a bias of Llama-3.2-1B.
PUBLISHED_FLOOR = 1e-12
COLUMNS = ["allocation", "sparsity", "seed", "site", "layer", "map", "d_out"]
COLUMNS += ["l2_norm", "std", "mean_over_std", "max_abs", "kurtosis_as_published"]
SIGNS = ["positive_fraction", "positive_low", "positive_high", "positive_p"]
COLUMNS += [*SIGNS, "skewness"]
COLUMNS += ["excess_kurtosis", "kurtosis_null_low", "kurtosis_null_high"]
COLUMNS += ["normality_p", "normality_p_holm"]
COLUMNS += ["largest_deviation", "outlier_bound", "outliers", "outlier_coordinates"]
COLUMNS += ["excess_kurtosis_without_outliers", "cosine_next_layer", "cosine_null_95"]


def describe_bias_statistics(run: Run) -> pd.DataFrame:
    """Statistics of every bias of a run over its entries.

    Returns:
        One row per site. Moments are those of the entries themselves, divided by d_out;
        `mean_over_std` is the mean in units of the standard deviation. `normality_p` is the test
        of D'Agostino and Pearson; `normality_p_holm` adjusts it for the run's sites.
        `largest_deviation` is that of an entry from the median, by `measure_deviations`; an entry
        beyond `outlier_bound` is an outlier.
        `cosine_next_layer` is the cosine with the bias of the same map one layer deeper, nan where
        there is none, and `cosine_null_95` bounds 95 % of those of random directions.
    """
    rows = [
        run.names
        | describe_site(site)
        | describe_bias(bias)
        | {"cosine_next_layer": cosine_with_next(run.biases, site)}
        for site, bias in run.biases.items()
    ]
    table = pd.DataFrame(rows)
    table["normality_p_holm"] = stats.adjust_holm(table["normality_p"].to_numpy())
    return table[COLUMNS]


def describe_bias(bias: Float64[np.ndarray, "d_out"]) -> dict:
    """The columns of one bias, Holm's adjustment apart."""
    outliers = find_outliers(bias)
    low, high = stats.kurtosis_range(len(bias))
    return {
        "d_out": len(bias),
        "l2_norm": float(np.linalg.norm(bias)),
        "std": float(bias.std()),
        "mean_over_std": float(bias.mean() / bias.std()) if np.ptp(bias) else np.nan,
        "max_abs": float(np.abs(bias).max()),
        "kurtosis_as_published": float(
            central_moment(bias, 4) / (bias.std() ** 4 + PUBLISHED_FLOOR) - 3
        ),
        **describe_signs(bias),
        "skewness": central_moment(bias, 3) / float(bias.std()) ** 3 if np.ptp(bias) else np.nan,
        "excess_kurtosis": excess_kurtosis(bias),
        "kurtosis_null_low": low,
        "kurtosis_null_high": high,
        "normality_p": float(normaltest(bias).pvalue) if np.ptp(bias) else np.nan,
        "largest_deviation": float(measure_deviations(bias).max()),
        "outlier_bound": bound_deviations(len(bias)),
        "outliers": len(outliers),
        "outlier_coordinates": ";".join(map(str, outliers)),
        "excess_kurtosis_without_outliers": excess_kurtosis(np.delete(bias, outliers)),
        "cosine_null_95": chance.cosine_quantile(len(bias), 0.95),
    }


def cosine_with_next(biases: Mapping[str, Float64[np.ndarray, "d_out"]], site: str) -> float:
    """The cosine of a bias with that of the same map in the next layer; nan if there is none."""
    following = biases.get(name_site(layer_of(site) + 1, map_of(site)))
    return np.nan if following is None else chance.cosine(biases[site], following)


def describe_signs(bias: Float64[np.ndarray, "d_out"]) -> dict:
    """The share of positive entries, its Clopper-Pearson interval, and its exact test."""
    # ASSUME: an entry that is exactly zero is not positive, as published. A bias of zeros alone,
    # of a training that gained nothing, has no signs.
    if not np.any(bias):
        return dict.fromkeys(SIGNS, np.nan)
    test = binomtest(int(np.count_nonzero(bias > 0)), len(bias), p=0.5)
    interval = test.proportion_ci(stats.LEVEL, method="exact")
    numbers = (test.statistic, interval.low, interval.high, test.pvalue)
    return {name: float(number) for name, number in zip(SIGNS, numbers, strict=True)}


def central_moment(values: Float64[np.ndarray, "count"], power: int) -> float:
    """The mean power of the deviations from the mean."""
    return float(np.mean((values - values.mean()) ** power))


def excess_kurtosis(values: Float64[np.ndarray, "count"]) -> float:
    """Kurtosis less that of the normal distribution; nan without spread.

    Returns:
        At least -2, which is that of two values that are equally frequent.
    """
    return central_moment(values, 4) / float(values.var()) ** 2 - 3 if np.ptp(values) else np.nan


def measure_deviations(bias: Float64[np.ndarray, "d_out"]) -> Float64[np.ndarray, "d_out"]:
    """How far entries are from the median, in standard deviations that outliers do not move.

    Returns:
        Units are the standard deviation that the median absolute deviation implies for normal
        numbers; nan where that is zero.
    """
    unit = median_abs_deviation(bias, scale="normal")
    return np.abs(bias - np.median(bias)) / (unit if unit > 0 else np.nan)


def bound_deviations(count: int) -> float:
    """Bonferroni's two-sided 5 % bound for the largest of `count` normal numbers."""
    return float(norm.isf((1 - stats.LEVEL) / 2 / count))


def find_outliers(bias: Float64[np.ndarray, "d_out"]) -> Int[np.ndarray, "outliers"]:
    """Coordinates of entries too far off for the largest of as many normal numbers; ascending."""
    return np.flatnonzero(measure_deviations(bias) > bound_deviations(len(bias)))
