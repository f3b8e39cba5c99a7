"""Intervals over evaluation blocks: what they say on series whose answer is known."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.stats import kurtosis, kurtosistest, norm, spearmanr

from spon import stats


def correlated(samples, blocks, correlation, seed=0):
    noise = np.random.default_rng(seed).standard_normal((samples, blocks + 100))
    return lfilter([1.0], [1.0, -correlation], noise)[:, 100:]


def test_a_series_of_zeros_has_no_width_and_p_value_one():
    assert stats.mean_interval(np.zeros(100)) == stats.Estimate(0.0, 0.0, 0.0, 1.0)


def test_a_constant_that_is_not_zero_is_certain():
    assert stats.mean_interval(np.full(64, 0.5)) == stats.Estimate(0.5, 0.5, 0.5, 0.0)


def test_with_one_degree_of_freedom_the_interval_is_that_of_the_first_cosine():
    # The cosine of two blocks is (1 - 3) / sqrt(2), its mean square 2, the mean's variance 2 / 2,
    # and t(1) is Cauchy.
    mean = stats.mean_interval(np.array([1.0, 3.0]), level=0.5)
    np.testing.assert_allclose([mean.value, mean.low, mean.high], [2.0, 1.0, 3.0])
    np.testing.assert_allclose(mean.p_value, 2 * (0.5 - np.arctan(2) / np.pi))


def test_an_interval_scales_and_shifts_with_its_series():
    values = correlated(1, 200, 0.3)[0]
    plain, moved = stats.mean_interval(values), stats.mean_interval(10 * values + 7)
    np.testing.assert_allclose([moved.low, moved.high], [10 * plain.low + 7, 10 * plain.high + 7])


def test_the_p_value_is_below_five_percent_exactly_where_the_interval_excludes_zero():
    estimates = [stats.mean_interval(values + 0.15) for values in correlated(200, 128, 0)]
    assert {estimate.holds_zero for estimate in estimates} == {True, False}
    assert all(estimate.holds_zero == (estimate.p_value >= 0.05) for estimate in estimates)


@pytest.mark.parametrize("correlation", [0, 0.6])
def test_intervals_of_correlated_blocks_hold_the_mean_as_often_as_they_say(correlation):
    hits = [
        stats.mean_interval(values).holds_zero for values in correlated(2000, 256, correlation)
    ]
    assert 0.93 < np.mean(hits) < 0.97


def test_zero_cannot_be_excluded_without_an_interval():
    assert stats.NOT_APPLICABLE.holds_zero
    assert not stats.Estimate(-2.0, -3.0, -1.0, np.nan).holds_zero
    assert stats.Estimate(1.0, 0.0, 2.0, np.nan).holds_zero


def test_one_block_has_no_interval():
    for call in (
        lambda: stats.mean_interval(np.ones(1)),
        lambda: stats.resample_means(np.ones((1, 1)), 10, 0),
    ):
        with pytest.raises(
            ValueError, match=r"^an interval needs 2 or more evaluation blocks, found 1$"
        ):
            call()


def test_stretches_go_around_the_end_to_the_first_block():
    values = np.array([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [8.0, 1.0]])
    np.testing.assert_array_equal(
        stats.sum_stretches(values, 3), [[7, 0], [14, 1], [13, 1], [11, 1]]
    )


def test_draws_are_those_of_strung_stretches_about_the_mean():
    values = correlated(3, 60, 0.6).T
    length = stats.choose_stretch(60)
    assert length == 20  # 5 x 60^(1/3) = 19.6
    assert stats.choose_stretch(8) == 4  # half of the blocks instead of 10
    starts = np.random.default_rng(7).integers(60, size=(3, 5))
    strung = [
        np.concatenate([(np.arange(start, start + 20)) % 60 for start in column])
        for column in starts.T
    ]
    plain = np.array([values[rows].mean(axis=0) for rows in strung])
    mean = values.mean(axis=0)
    expected = mean + stats.widen_draws(60, 20) * (plain - mean)
    np.testing.assert_allclose(stats.resample_means(values, 5, seed=7), expected)


def test_few_stretches_are_widened_by_students_t_and_by_what_the_own_mean_takes_away():
    # Two stretches of half the blocks have 3 degrees of freedom: 3.1824 instead of 1.9600
    # deviations, times sqrt(2).
    np.testing.assert_allclose(stats.widen_draws(200, 100), 3.1824 / 1.9600 * 2**0.5, rtol=1e-4)
    assert 1 < stats.widen_draws(1_000_000, 500) < 1.001


def test_series_are_drawn_together():
    values = correlated(1, 300, 0.3)[0]
    draws = stats.resample_means(np.stack([values, 3 - 2 * values], axis=1), 50, seed=1)
    np.testing.assert_allclose(draws[:, 1], 3 - 2 * draws[:, 0])


def test_the_seed_alone_decides_the_draws():
    values = correlated(2, 100, 0).T
    draws = [stats.resample_means(values, 20, seed) for seed in (4, 4, 5)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_a_mean_by_draws_is_as_uncertain_as_by_cosines():
    ratios = []
    for values in correlated(40, 1024, 0.3):
        (mean,) = stats.draw_quantities(values[:, None], 2000, seed=0)
        drawn, direct = mean.interval(), stats.mean_interval(values)
        ratios.append((drawn.high - drawn.low) / (direct.high - direct.low))
    assert 0.95 < np.mean(ratios) < 1.05


def test_an_interval_of_a_function_is_made_of_the_percentiles_of_its_draws():
    tenfold = (10 * stats.Quantity(1.0, np.linspace(0, 2, 201))).interval()
    np.testing.assert_allclose([tenfold.value, tenfold.low, tenfold.high], [10.0, 0.5, 19.5])
    assert np.isnan(tenfold.p_value)


def test_a_p_value_by_draws_counts_those_beyond_the_null_and_one_more():
    quantity = stats.Quantity(50.0, np.arange(1.0, 100.0))  # 1 to 99
    np.testing.assert_allclose(quantity.p_value(4.5), 2 * (4 + 1) / 100)
    np.testing.assert_allclose(quantity.p_value(95.5), 2 * (4 + 1) / 100)
    np.testing.assert_allclose(quantity.p_value(0.0), 2 / 100)
    assert quantity.p_value(50.0) == 1
    assert stats.Quantity(0.3, np.full(99, 0.1 + 0.2)).p_value(0.3) == 1


def test_a_p_value_by_draws_is_below_five_percent_where_their_interval_excludes_the_null():
    quantity = stats.Quantity(0.0, np.random.default_rng(0).standard_normal(1999))
    interval = quantity.interval()
    for null in (interval.low, interval.high):
        assert quantity.p_value(null * 0.98) > 0.05
        assert quantity.p_value(null * 1.02) < 0.05


def test_arithmetic_of_quantities_is_that_of_their_values_and_of_each_draw():
    gain = stats.Quantity(2.0, np.array([1.0, 3.0]))
    damage = stats.Quantity(8.0, np.array([4.0, 6.0]))
    for quantity, value, draws in [
        (gain + damage, 10, [5, 9]),
        (damage - gain, 6, [3, 3]),
        (100 * gain, 200, [100, 300]),
        (gain * 100, 200, [100, 300]),
        (gain / 2, 1, [0.5, 1.5]),
        (100 * (gain / damage - gain / gain), -75, [-75, -50]),
    ]:
        assert quantity.value == value
        np.testing.assert_array_equal(quantity.draws, draws)


def test_a_name_is_that_of_the_quantity_and_not_of_what_is_computed_from_it():
    gain = stats.Quantity(2.0, np.array([1.0, 3.0])).named("the gain")
    assert gain.name == "the gain"
    assert [(100 * gain).name, (gain / 2).name, (gain - gain).name, (gain / gain).name] == [""] * 4


def test_quantities_of_different_draws_are_not_combined():
    with pytest.raises(AssertionError, match=r"quantities of \(2, 1\) draws"):
        stats.Quantity(2.0, np.array([1.0, 3.0])) - stats.Quantity(2.0, np.array([1.0]))


def test_a_ratio_of_proportional_series_is_certain():
    damage = np.random.default_rng(0).uniform(1, 2, 200)
    values = np.stack([damage / 4, damage], axis=1)
    quarter, whole = stats.draw_quantities(values, 100, seed=0)
    ratio = (quarter / whole).interval()
    np.testing.assert_allclose([ratio.value, ratio.low, ratio.high], 0.25)


def test_a_ratio_over_what_may_be_zero_is_not_applicable():
    values = np.stack([np.ones(200), np.tile([-1.0, 1.1], 100)], axis=1)
    values[:, 1] += correlated(1, 200, 0)[0]
    certain, vague = stats.draw_quantities(values, 500, seed=0)
    ratio = certain / vague
    assert ratio.interval() is stats.NOT_APPLICABLE
    assert np.isnan([ratio.value, ratio.p_value(0.0), *ratio.draws]).all()


def test_what_is_computed_from_a_ratio_to_zero_names_the_first_denominator_that_may_be_zero():
    draws = np.linspace(-1.0, 1.0, 101)
    one = stats.Quantity(5.0, np.full(101, 5.0))
    first, second = (stats.Quantity(0.1, draws, name) for name in ("the first", "the second"))
    for quantity in (
        one / first - one / second,
        100 * (one - one / first),
        one / first / second,
        one / (one / first),
        one / first + one,
    ):
        assert quantity.zero_denominator is first
        assert quantity.interval() is stats.NOT_APPLICABLE
        assert np.isnan(quantity.value)
    assert first.interval().holds_zero
    assert (one / one).zero_denominator is None


def test_holms_steps_are_counted_without_tests_that_were_not_made():
    # Three tests: 3 x 0.01, then 2 x 0.03, then 1 x 0.04, which may not fall below the one before.
    adjusted = stats.adjust_holm(np.array([0.04, np.nan, 0.01, 0.03]))
    np.testing.assert_allclose(adjusted, [0.06, np.nan, 0.03, 0.06])


def test_a_family_without_tests_stays_empty():
    assert stats.adjust_holm(np.array([])).size == 0
    assert np.isnan(stats.adjust_holm(np.array([np.nan]))).all()


def test_all_orders_of_few_layers_are_counted():
    layers = np.arange(4.0)
    assert stats.rank_correlation(layers, np.array([1.0, 2.0, 5.0, 9.0])) == (1.0, 2 / 24)
    # Of the 24 orders of four, 1 has rho 1 and 3 have 0.8, and as many the other way round.
    rho, p_value = stats.rank_correlation(layers, np.array([2.0, 1.0, 5.0, 9.0]))
    np.testing.assert_allclose([rho, p_value], [0.8, 8 / 24])


def test_many_layers_are_left_to_students_t():
    values = np.random.default_rng(0).standard_normal(9)
    expected = spearmanr(np.arange(9), values)
    correlation = stats.rank_correlation(np.arange(9.0), values)
    np.testing.assert_allclose(correlation, [expected.statistic, expected.pvalue])


def test_two_layers_or_equal_values_have_no_rank_correlation():
    assert stats.rank_correlation(np.arange(2.0), np.arange(2.0)) is None
    assert stats.rank_correlation(np.arange(4.0), np.ones(4)) is None
    assert stats.rank_correlation(np.ones(4), np.arange(4.0)) is None


def test_the_kurtosis_of_normal_numbers_has_known_moments():
    # Of five: -6 / 6, and 24 x 5 x 3 x 2 / (36 x 8 x 10).
    mean, variance = stats.kurtosis_moments(np.array([5.0]))
    np.testing.assert_allclose([mean[0], variance[0]], [-1, 0.25])


def test_kurtosis_is_compared_with_a_chi_square_of_few_degrees_of_freedom():
    # Of seven numbers, the skewness is 6 x 16 / (14 x 16) sqrt(6 x 10 x 12 / (7 x 5 x 4)).
    skewness = 3 / 7 * (36 / 7) ** 0.5
    expected = 6 + 8 / skewness * (2 / skewness + (1 + 4 / skewness**2) ** 0.5)
    np.testing.assert_allclose(stats.kurtosis_degrees(np.array([7.0])), [expected])


def test_kurtosis_is_tested_as_scipy_does_from_the_numbers_themselves():
    values = np.random.default_rng(0).standard_t(5, size=(3, 200))
    scores = stats.kurtosis_score(kurtosis(values, axis=1), np.full(3, 200.0))
    np.testing.assert_allclose(scores, kurtosistest(values, axis=1).statistic)


def test_the_range_of_kurtosis_ends_where_its_score_is_two_deviations_from_zero():
    ends = np.array(stats.kurtosis_range(50))
    np.testing.assert_allclose(
        stats.kurtosis_score(ends, np.full(2, 50.0)), norm.ppf([0.025, 0.975])
    )


def test_the_range_of_kurtosis_holds_that_of_normal_numbers_as_often_as_it_says():
    excess = kurtosis(np.random.default_rng(0).standard_normal((20_000, 128)), axis=1)
    low, high = stats.kurtosis_range(128)
    assert 0.94 < np.mean((low < excess) & (excess < high)) < 0.96


@pytest.mark.parametrize("bound", [0, 1])
def test_the_range_ends_where_scipys_test_begins_to_reject(bound):
    limit = stats.kurtosis_range(200)[bound]
    normal = np.tile(norm.ppf((np.arange(100) + 0.5) / 100), 2)

    def bend(power):
        """Numbers whose tails are heavier, the higher the power."""
        return np.repeat([1.0, -1.0], 100) * np.abs(normal) ** power

    power = brentq(lambda power: kurtosis(bend(power)) - limit, 0.1, 3)
    assert kurtosistest(bend(power)).pvalue == pytest.approx(0.05)
