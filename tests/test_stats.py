"""Intervals over evaluation blocks: what they say on series whose answer is known."""

import numpy as np
import pytest
from scipy.signal import lfilter

from spon import stats

FIRST, SECOND = lambda means: means[..., 0], lambda means: means[..., 1]


def correlated(samples, blocks, correlation, seed=0):
    noise = np.random.default_rng(seed).standard_normal((samples, blocks + 100))
    return lfilter([1.0], [1.0, -correlation], noise)[:, 100:]


def test_a_series_of_zeros_has_no_width_and_p_value_one():
    assert stats.mean_interval(np.zeros(100)) == stats.Estimate(0.0, 0.0, 0.0, 1.0)


def test_a_constant_that_is_not_zero_is_certain():
    assert stats.mean_interval(np.full(64, 0.5)) == stats.Estimate(0.5, 0.5, 0.5, 0.0)


def test_with_one_degree_of_freedom_the_interval_is_that_of_the_first_cosine():
    # The cosine of two blocks is (1 - 3) / sqrt(2), its mean square 2, the mean's variance 2 / 2, and t(1) is Cauchy.
    found = stats.mean_interval(np.array([1.0, 3.0]), level=0.5)
    np.testing.assert_allclose([found.value, found.low, found.high], [2.0, 1.0, 3.0])
    np.testing.assert_allclose(found.p_value, 2 * (0.5 - np.arctan(2) / np.pi))


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
    # Two stretches of half the blocks have 3 degrees of freedom: 3.1824 instead of 1.9600 deviations, times sqrt(2).
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
        draws = stats.resample_means(values[:, None], 2000, seed=0)
        drawn, direct = (
            stats.function_interval(values.mean(keepdims=True), draws, FIRST),
            stats.mean_interval(values),
        )
        ratios.append((drawn.high - drawn.low) / (direct.high - direct.low))
    assert 0.95 < np.mean(ratios) < 1.05


def test_an_interval_of_a_function_is_made_of_the_percentiles_of_its_draws():
    draws = np.linspace(0, 2, 201)[:, None]
    found = stats.function_interval(np.array([1.0]), draws, lambda means: 10 * means[..., 0])
    np.testing.assert_allclose([found.value, found.low, found.high], [10.0, 0.5, 19.5])
    assert np.isnan(found.p_value)


def test_a_p_value_by_draws_counts_those_beyond_the_null_and_one_more():
    draws = np.arange(1.0, 100.0)  # 1 to 99
    np.testing.assert_allclose(stats.invert_percentiles(draws, 4.5), 2 * (4 + 1) / 100)
    np.testing.assert_allclose(stats.invert_percentiles(draws, 95.5), 2 * (4 + 1) / 100)
    np.testing.assert_allclose(stats.invert_percentiles(draws, 0.0), 2 / 100)
    assert stats.invert_percentiles(draws, 50.0) == 1
    assert stats.invert_percentiles(np.full(99, 0.1 + 0.2), 0.3) == 1


def test_a_p_value_by_draws_is_below_five_percent_where_their_interval_excludes_the_null():
    draws = np.random.default_rng(0).standard_normal((1999, 1))
    found = stats.function_interval(np.zeros(1), draws, FIRST)
    for null in (found.low, found.high):
        assert stats.invert_percentiles(draws[:, 0], null * 0.98) > 0.05
        assert stats.invert_percentiles(draws[:, 0], null * 1.02) < 0.05


def test_a_ratio_of_proportional_series_is_certain():
    damage = np.random.default_rng(0).uniform(1, 2, 200)
    values = np.stack([damage / 4, damage], axis=1)
    draws = stats.resample_means(values, 100, seed=0)
    found = stats.ratio_interval(values.mean(axis=0), draws, FIRST, SECOND)
    np.testing.assert_allclose([found.value, found.low, found.high], 0.25)


def test_a_ratio_over_what_may_be_zero_is_not_applicable():
    values = np.stack([np.ones(200), np.tile([-1.0, 1.1], 100)], axis=1)
    values[:, 1] += correlated(1, 200, 0)[0]
    draws = stats.resample_means(values, 500, seed=0)
    assert stats.ratio_interval(values.mean(axis=0), draws, FIRST, SECOND) is stats.NOT_APPLICABLE


def test_holms_steps_are_counted_without_tests_that_were_not_made():
    # Three tests: 3 x 0.01, then 2 x 0.03, then 1 x 0.04, which may not fall below the one before.
    adjusted = stats.adjust_holm(np.array([0.04, np.nan, 0.01, 0.03]))
    np.testing.assert_allclose(adjusted, [0.06, np.nan, 0.03, 0.06])


def test_a_family_without_tests_stays_empty():
    assert stats.adjust_holm(np.array([])).size == 0
    assert np.isnan(stats.adjust_holm(np.array([np.nan]))).all()
