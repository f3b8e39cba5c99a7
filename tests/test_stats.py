"""Intervals over evaluation blocks: what they say on series whose answer is known."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.stats import kurtosis, kurtosistest, norm, spearmanr, t, ttest_1samp

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


def test_one_block_has_no_spread():
    for call in (
        lambda: stats.mean_interval(np.ones(1)),
        lambda: stats.mean_quantity(np.ones(1)).interval(),
    ):
        with pytest.raises(
            ValueError, match=r"^an interval needs 2 or more evaluation blocks, found 1$"
        ):
            call()


def means(*series):
    return [stats.mean_quantity(np.asarray(values, dtype=float)) for values in series]


def test_a_mean_as_a_quantity_has_the_interval_and_p_value_of_its_series():
    values = correlated(1, 200, 0.3)[0] + 0.2
    (mean,) = means(values)
    assert mean.interval() == stats.mean_interval(values)
    # Against another null, what counts is the distance to it.
    assert mean.test(0.5).p_value == pytest.approx(stats.mean_interval(values - 0.5).p_value)


def test_arithmetic_of_means_is_that_of_their_series():
    gain, damage = correlated(2, 200, 0.3, seed=1)
    first, second = means(gain, damage + 3)
    for quantity, values in [
        (first + second, gain + damage + 3),
        (second - first, damage + 3 - gain),
        (100 * first, 100 * gain),
        (first * 100, 100 * gain),
        (first / 2, gain / 2),
    ]:
        expected = stats.mean_interval(values)
        found = quantity.interval()
        np.testing.assert_allclose(
            [found.value, found.low, found.high, found.p_value],
            [expected.value, expected.low, expected.high, expected.p_value],
        )


def test_a_block_moves_a_ratio_by_what_the_ratio_does_not_explain_of_it():
    # 6 / 12 of the blocks (4, 8) and (12, 12): the first is 2 short of half of its 12.
    gain, damage = means([4.0, 8.0], [12.0, 12.0])
    ratio = gain / damage
    assert ratio.value == 0.5
    np.testing.assert_allclose(ratio.influence, [-2 / 12, 2 / 12])
    # 51 / 102 of (51, 51) and (100, 104): the first is 1 more than half of its 100.
    certain, uncertain = means([51.0, 51.0], [100.0, 104.0])
    np.testing.assert_allclose((certain / uncertain).influence, [1 / 102, -1 / 102])


def test_a_block_moves_a_perplexity_by_the_perplexity_times_what_it_moves_the_mean():
    perplexity = means([1.9, 2.1])[0].exp()
    assert perplexity.value == pytest.approx(np.exp(2))
    np.testing.assert_allclose(perplexity.influence, np.exp(2) * np.array([-0.1, 0.1]))


def test_the_null_of_a_ratio_is_that_a_difference_is_zero():
    gain, damage = correlated(2, 200, 0.3, seed=2) + np.array([[1.0], [3.0]])
    above, below = means(gain, damage)
    for null in (0.0, 0.25, 0.4):
        expected = stats.mean_interval(gain - null * damage).p_value
        assert (above / below).test(null).p_value == pytest.approx(expected)
        # A share in percent is the same ratio.
        assert (100 * above / below).test(100 * null).p_value == pytest.approx(expected)
        assert (100 * (above / below)).test(100 * null).p_value == pytest.approx(expected)


def test_the_interval_of_a_ratio_ends_at_the_nulls_whose_p_value_is_five_percent():
    gain, damage = correlated(2, 200, 0.3, seed=2) + np.array([[1.0], [1.0]])
    above, below = means(gain, damage)
    (double,) = means(2 * damage)
    for ratio in (above / below, 100 * above / double, stats.average([above, below]) / double):
        interval = ratio.interval()
        assert interval.low < ratio.value < interval.high
        for end in (interval.low, interval.high):
            assert ratio.test(end).p_value == pytest.approx(0.05, rel=1e-6)


def test_fieller_interval_solves_its_quadratic():
    gain, damage = correlated(2, 100, 0, seed=3) + np.array([[0.5], [1.0]])
    above, below = means(gain, damage)
    # (N - r D)^2 = t^2 Var(N - r D) is a quadratic in r, whose coefficients are those of three r.
    student = t.ppf(0.975, 8)  # 0.4 x 100^(2/3) = 8.6
    bound = lambda values: (stats.mean_interval(values).high - values.mean()) / student  # noqa: E731
    nulls = np.array([-1.0, 0.0, 1.0])
    excess = [
        (gain - r * damage).mean() ** 2 - (student * bound(gain - r * damage)) ** 2 for r in nulls
    ]
    roots = np.sort(np.roots(np.polyfit(nulls, excess, 2)))
    interval = (above / below).interval()
    np.testing.assert_allclose([interval.low, interval.high], roots, rtol=1e-6)


def test_a_difference_of_ratios_cancels_what_they_share():
    gain, damage = correlated(2, 200, 0.3, seed=4) + np.array([[1.0], [4.0]])
    above, below, more = means(gain, damage, gain + damage / 10)
    same = (above / below - above / below).interval()
    assert (same.value, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    tenth = (more / below - above / below).interval()
    np.testing.assert_allclose([tenth.value, tenth.low, tenth.high], 0.1)


def test_a_name_is_that_of_the_quantity_and_not_of_what_is_computed_from_it():
    gain = means([1.0, 3.0])[0].named("the gain")
    assert gain.name == "the gain"
    ratio = gain / means([2.0, 2.0])[0]
    assert [(100 * gain).name, (gain / 2).name, (gain - gain).name, ratio.name] == [""] * 4


def test_quantities_of_different_texts_or_trainings_are_not_combined():
    with pytest.raises(AssertionError, match=r"quantities of \(2, 3\) blocks"):
        stats.mean_quantity(np.ones(2)) - stats.mean_quantity(np.ones(3))
    two, three = (stats.average(means(*np.ones((count, 2)))) for count in (2, 3))
    with pytest.raises(AssertionError, match=r"quantities of {2, 3} trainings"):
        two + three


def test_a_ratio_of_proportional_series_is_certain():
    damage = np.random.default_rng(0).uniform(1, 2, 200)
    quarter, whole = means(damage / 4, damage)
    ratio = (quarter / whole).test(0.25)
    np.testing.assert_allclose([ratio.value, ratio.low, ratio.high], 0.25)
    assert ratio.p_value == 1
    assert (quarter / whole).test(0.3).p_value < 1e-9


def test_a_ratio_over_what_may_be_zero_is_not_applicable():
    values = np.tile([-1.0, 1.1], 100) + correlated(1, 200, 0)[0]
    certain, vague = means(np.ones(200), values)
    for ratio in (certain / vague, certain / means(np.zeros(200))[0]):
        assert ratio.interval() is stats.NOT_APPLICABLE
        assert ratio.test(1.0) is stats.NOT_APPLICABLE
        assert np.isnan([ratio.value, *ratio.influence, *ratio.trainings]).all()


def test_what_is_computed_from_a_ratio_to_zero_names_the_first_denominator_that_may_be_zero():
    one, vague = means(np.full(100, 5.0), np.tile([-1.0, 1.0], 50) + np.linspace(-1, 1.1, 100))
    first, second = vague.named("the first"), vague.named("the second")
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


def test_the_error_of_an_average_is_that_of_its_text_and_that_of_its_trainings():
    # Three trainings whose blocks do not vary: the error is that of three numbers, 1, 2 and 3,
    # and the interval Student's with two degrees of freedom.
    certain = stats.average(means(np.full(50, 1.0), np.full(50, 2.0), np.full(50, 3.0)))
    half = t.ppf(0.975, 2) / np.sqrt(3)
    interval = certain.interval()
    np.testing.assert_allclose(
        [interval.value, interval.low, interval.high], [2, 2 - half, 2 + half]
    )
    np.testing.assert_allclose(interval.p_value, ttest_1samp([1, 2, 3], 0).pvalue)
    # Three that are alike have the error of the text alone.
    values = correlated(1, 50, 0)[0] + 1
    alike = stats.average(means(values, values, values)).interval()
    expected = stats.mean_interval(values)
    np.testing.assert_allclose([alike.low, alike.high], [expected.low, expected.high])


def test_degrees_of_freedom_are_satterthwaites():
    # A variance of 4 with two degrees of freedom and one of 4 with a single one: 64 / (8 + 16).
    error, degrees = stats.Errors(np.sqrt([2.0, 2.0]), np.sqrt([2.0, 2.0])).measure()
    np.testing.assert_allclose([error, degrees], [np.sqrt(8), 64 / (16 / 2 + 16 / 1)])
    # One training has no variance of its own.
    assert stats.Errors(np.array([3.0, 4.0]), np.zeros(1)).measure() == (5.0, 2.0)


def test_one_training_is_its_own_average():
    (only,) = means([1.0, 3.0])
    assert stats.average([only]) is only


def test_what_trainings_share_is_no_error_of_their_difference():
    values = correlated(1, 60, 0)[0]
    first = stats.average(means(values + 1, values + 2, values + 3))
    second = stats.average(means(values, values + 1, values + 2))
    difference = (first - second).interval()
    np.testing.assert_allclose([difference.value, difference.low, difference.high], 1)
    # A number without trainings, such as TEAL's, is the same beside each of them.
    np.testing.assert_allclose((first - means(values)[0]).trainings, [-1, 0, 1], atol=1e-12)


def test_an_average_ratio_is_the_ratio_of_averages():
    damage = np.full(50, 4.0)
    gains = means(np.full(50, 1.0), np.full(50, 2.0), np.full(50, 3.0))
    (whole,) = means(damage)
    ratio = stats.average([100 * gain / whole for gain in gains])
    expected = 100 * stats.average(gains) / whole
    assert ratio.value == expected.value == 50
    assert ratio.interval() == expected.interval()
    # Its interval is that of the mean gain, as the damage is certain.
    gained = stats.average(gains).interval()
    interval = ratio.interval()
    np.testing.assert_allclose([interval.low, interval.high], [25 * gained.low, 25 * gained.high])


def test_averages_cover_what_all_trainings_would_give():
    rng = np.random.default_rng(0)
    hits = []
    for text in correlated(400, 128, 0.3, seed=5):
        luck = rng.normal(0, text.std() / 5, 3)
        mean = stats.average(means(*(text + each for each in luck))).interval()
        hits.append(mean.holds_zero)
    assert 0.92 < np.mean(hits) < 0.99


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
