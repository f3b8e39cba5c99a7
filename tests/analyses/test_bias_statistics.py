"""Statistics of biases that were planted, so that what must be found is known."""

import numpy as np
import pytest
from published_biases import agrees, gather_published, needs_published, read_published_table
from scipy.stats import norm

from spon.analyses import bias_statistics
from spon.analyses.runs import Run

SITE = "model.layers.{}.mlp.down_proj"
# The quantiles of a normal distribution: as normal as 2,000 numbers can be.
NORMAL = 0.001 * norm.ppf((np.arange(2000) + 0.5) / 2000)
COIN = np.repeat([0.5, -0.5], 1000)


def describe(*biases):
    run = Run("TOP-50", 0.5, 0, {SITE.format(layer): bias for layer, bias in enumerate(biases)})
    return bias_statistics.describe_bias_statistics(run)


def test_the_table_has_the_columns_that_were_promised_and_a_row_per_site():
    table = describe(NORMAL, COIN)
    assert ", ".join(table.columns) == (
        "allocation, sparsity, seed, site, layer, map, d_out, l2_norm, std, mean_over_std, "
        "max_abs, kurtosis_as_published, positive_fraction, positive_low, positive_high, "
        "positive_p, skewness, excess_kurtosis, kurtosis_null_low, kurtosis_null_high, "
        "normality_p, normality_p_holm, largest_deviation, outlier_bound, outliers, "
        "outlier_coordinates, excess_kurtosis_without_outliers, cosine_next_layer, "
        "cosine_null_95"
    )
    assert table[["allocation", "sparsity", "seed"]].drop_duplicates().values.tolist() == [
        ["TOP-50", 0.5, 0]
    ]
    assert table[["site", "layer", "map", "d_out"]].values.tolist() == [
        ["model.layers.0.mlp.down_proj", 0, "mlp.down_proj", 2000],
        ["model.layers.1.mlp.down_proj", 1, "mlp.down_proj", 2000],
    ]


def test_size_and_spread_are_those_of_the_entries():
    row = describe(np.tile([3.0, -5.0], 20)).iloc[0]
    # Norm: 20 times (9 + 25); the entries lie 4 from their mean of -1.
    np.testing.assert_allclose([row["l2_norm"], row["std"], row["max_abs"]], [680**0.5, 4, 5])
    assert row["mean_over_std"] == -0.25


def test_one_of_four_entries_that_is_larger_skews_a_bias():
    row = describe(np.tile([0.0, 0.0, 0.0, 4.0], 10)).iloc[0]
    # Mean 1; cubes (-1 -1 -1 + 27) / 4 = 6 over the variance (1 + 1 + 1 + 9) / 4 = 3 to the 1.5.
    assert row["skewness"] == pytest.approx(6 / 3**1.5)
    assert row["mean_over_std"] == pytest.approx(1 / 3**0.5)
    assert describe(COIN).iloc[0]["skewness"] == 0


def test_a_bias_is_compared_with_that_of_the_next_layer_if_there_is_one():
    first, second = np.tile([1.0, 0.0], 10), np.tile([3.0, 4.0], 10)
    cosines = describe(first, second, -second)["cosine_next_layer"]
    np.testing.assert_allclose(cosines, [0.6, -1, np.nan])
    apart = Run("TOP-50", 0.5, 0, {SITE.format(layer): first for layer in (0, 2)})
    assert bias_statistics.describe_bias_statistics(apart)["cosine_next_layer"].isna().all()


def test_two_values_are_as_platykurtic_as_anything_can_be():
    row = describe(COIN).iloc[0]
    assert row["excess_kurtosis"] == -2
    assert row["excess_kurtosis"] < row["kurtosis_null_low"]
    assert row["normality_p"] < 1e-10
    assert row["outliers"] == 0


def test_normal_numbers_lie_inside_the_range_of_normal_numbers():
    row = describe(NORMAL).iloc[0]
    assert row["kurtosis_null_low"] < row["excess_kurtosis"] < row["kurtosis_null_high"]
    assert row["normality_p"] > 0.5
    assert (row["outliers"], row["outlier_coordinates"]) == (0, "")
    assert row["excess_kurtosis_without_outliers"] == row["excess_kurtosis"]


def test_the_published_kurtosis_falls_under_its_own_lower_bound_where_numbers_are_small():
    # std⁴ is 1e-12 here, as large as what is added to it: half of 3 is left.
    row = describe(NORMAL * 0.001 / NORMAL.std()).iloc[0]
    assert row["kurtosis_as_published"] == pytest.approx((row["excess_kurtosis"] + 3) / 2 - 3)
    assert describe(0.1 * COIN * 0.01).iloc[0]["kurtosis_as_published"] < -2


def test_one_entry_that_stands_out_is_found_and_explains_the_tails():
    bias = NORMAL.copy()
    bias[894] = -0.01
    row = describe(bias).iloc[0]
    assert (row["outliers"], row["outlier_coordinates"]) == (1, "894")
    assert row["excess_kurtosis"] > 1 > row["kurtosis_null_high"]
    assert (
        row["kurtosis_null_low"]
        < row["excess_kurtosis_without_outliers"]
        < row["kurtosis_null_high"]
    )


def test_an_outlier_is_what_deviates_by_more_than_the_bound():
    # Entries 0, 1, ..., 38 and 1000: median 19.5, half of the entries within 10 of it.
    row = describe(np.append(np.arange(39.0), 1000.0)).iloc[0]
    assert row["largest_deviation"] == pytest.approx(980.5 / (10 / norm.isf(0.25)))
    assert row["outlier_bound"] == pytest.approx(norm.isf(0.025 / 40))
    assert (row["outliers"], row["outlier_coordinates"]) == (1, "39")


def test_several_outliers_are_named_in_their_order():
    bias = NORMAL.copy()
    bias[[1500, 3, 40]] = [0.02, -0.01, 0.01]
    assert describe(bias).iloc[0]["outlier_coordinates"] == "3;40;1500"


def test_normal_numbers_have_an_outlier_in_about_one_of_twenty_biases():
    draws = np.random.default_rng(0).standard_normal((400, 2048))
    share = np.mean([len(bias_statistics.find_outliers(bias)) > 0 for bias in draws])
    assert 0.02 < share < 0.10


def test_signs_are_judged_by_the_exact_binomial_distribution():
    # Ten of ten: the interval ends at 0.025^(1/10), and two of the 2^10 outcomes are as extreme.
    row = bias_statistics.describe_signs(np.ones(10))
    assert row["positive_fraction"] == row["positive_high"] == 1
    assert row["positive_low"] == pytest.approx(0.025**0.1)
    assert row["positive_p"] == pytest.approx(2 / 2**10)


def test_signs_of_a_fair_coin_are_symmetric():
    row = describe(COIN).iloc[0]
    assert (row["positive_fraction"], row["positive_p"]) == (0.5, 1)
    assert row["positive_low"] + row["positive_high"] == pytest.approx(1)


def test_tests_of_normality_are_adjusted_for_the_sites_of_the_run():
    table = describe(COIN, NORMAL, np.zeros(2000))
    assert table["normality_p_holm"].iloc[0] == pytest.approx(2 * table["normality_p"].iloc[0])
    assert table["normality_p_holm"].iloc[1] == table["normality_p"].iloc[1]
    assert np.isnan(table["normality_p_holm"].iloc[2])


@pytest.mark.filterwarnings("error")
def test_a_bias_that_was_never_trained_has_no_shape():
    row = describe(np.zeros(50)).iloc[0]
    assert (row["l2_norm"], row["outliers"]) == (0, 0)
    unknown = [
        "positive_fraction",
        "positive_p",
        "mean_over_std",
        "skewness",
        "excess_kurtosis",
        "normality_p",
        "normality_p_holm",
    ]
    unknown += ["excess_kurtosis_without_outliers", "cosine_next_layer"]
    assert row[unknown].isna().all()


@needs_published
def test_the_published_biases_give_the_published_columns_and_the_true_kurtosis(tmp_path):
    top, _ = gather_published(tmp_path)
    table = bias_statistics.describe_bias_statistics(top)
    printed = read_published_table("bias_statistics")
    assert len(table) == len(printed) == 8
    for row, expected in zip(table.to_dict("records"), printed, strict=True):
        wrong = [name for name, text in expected.items() if not agrees(row[name], text)]
        assert not wrong, (row["site"], wrong)
    assert table["excess_kurtosis"].round(2).tolist() == [
        3.00,
        0.04,
        0.28,
        0.02,
        0.09,
        0.24,
        0.34,
        0.07,
    ]
    first = table.iloc[0]
    assert (first["outliers"], first["outlier_coordinates"]) == (1, "894")
    assert first["excess_kurtosis_without_outliers"] < first["kurtosis_null_high"]
    assert (table["excess_kurtosis"] > table["kurtosis_null_low"]).all(), "nothing is platykurtic"
