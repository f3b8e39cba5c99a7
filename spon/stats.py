"""Means over evaluation blocks, and what is computed from them, with intervals that respect correlated neighbours."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.stats import norm, t
from statsmodels.stats.multitest import multipletests

LEVEL = 0.95

# From means [*draws, series] to one number per draw [*draws].
Function = Callable[[Float[np.ndarray, "*draws series"]], Float[np.ndarray, "*draws"]]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; nan where it is not applicable.

    Attributes:
        p_value: Two-sided, against zero.
    """

    value: float
    low: float
    high: float
    p_value: float

    @property
    def holds_zero(self) -> bool:
        """Whether zero cannot be excluded; without an interval it never can."""
        return not (self.low > 0 or self.high < 0)


NOT_APPLICABLE = Estimate(np.nan, np.nan, np.nan, np.nan)


def check_blocks(blocks: int) -> None:
    """Refuse a sample without spread."""
    if blocks < 2:
        raise ValueError(f"an interval needs 2 or more evaluation blocks, found {blocks}")


def mean_interval(values: Float[np.ndarray, "blocks"], level: float = LEVEL) -> Estimate:
    """The mean of a serially correlated series of blocks, its interval, and its p-value against zero.

    The long-run variance is the mean square of the series' first cosine coefficients, which carry its slow variation,
    and Student's t has as many degrees of freedom ("equal-weighted cosine", a fixed-b method). Plain Newey-West with
    the normal quantile covers too little.

    Args:
        values: One value per evaluation block, in the order of the text.
        level: Coverage of the interval.

    Returns:
        A series that is zero everywhere has the interval [0, 0] and p-value 1.

    Raises:
        ValueError: There is one block only.
    """
    blocks = len(values)
    check_blocks(blocks)
    # ASSUME: 0.4 n^(2/3) coefficients, the rule of Lazarus, Lewis, Stock and Watson (2018): 40 for 1,024 blocks. Fewer
    # make wider intervals, more let the correlation of neighbours leak out; bench/coverage.py measures what is left.
    degrees = max(1, int(0.4 * blocks ** (2 / 3)))
    mean = float(values.mean())
    slow = fft.dct(values - mean, norm="ortho")[1 : degrees + 1]
    error = float(np.sqrt(np.mean(slow**2) / blocks))
    half = float(t.ppf((1 + level) / 2, degrees)) * error
    if error == 0:
        return Estimate(mean, mean, mean, float(mean == 0))
    return Estimate(mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / error, degrees)))


def resample_means(
    values: Float[np.ndarray, "blocks series"], draws: int, seed: int
) -> Float[np.ndarray, "draws series"]:
    """Draw the means of all series jointly, by a circular moving-block bootstrap.

    Each draw strings together stretches of neighbouring blocks, the same ones for every series, so that what two
    series share cancels in their difference or ratio.

    Args:
        values: One row per evaluation block, in the order of the text.
        draws: Number of draws.
        seed: Of the random stretches; the same seed gives the same draws.

    Returns:
        Means per draw, so spread about the series' own means that their percentiles cover (see `widen_draws`).

    Raises:
        ValueError: There is one block only.
    """
    blocks = len(values)
    check_blocks(blocks)
    length = choose_stretch(blocks)
    count = -(-blocks // length)
    starts = np.random.default_rng(seed).integers(blocks, size=(count, draws))
    mean = values.mean(axis=0)
    sums = sum_stretches(values - mean, length)
    deviations = np.zeros((draws, values.shape[1]))
    for start in starts:
        deviations += sums[start]
    return mean + widen_draws(blocks, length) / np.sqrt(count * length * blocks) * deviations


def choose_stretch(blocks: int) -> int:
    """Neighbouring blocks that the bootstrap keeps together."""
    # ASSUME: 5 n^(1/3), which is 50 of 1,024 blocks: three times the length of least mean squared error where
    # neighbours are correlated by 0.6. A long stretch loses less of the variance; what it loses in precision,
    # wider draws make up for. No more than half of the blocks, or the draws would hardly differ.
    return min(round(5 * blocks ** (1 / 3)), blocks // 2)


def sum_stretches(
    values: Float[np.ndarray, "blocks series"], length: int
) -> Float[np.ndarray, "blocks series"]:
    """Sum of the `length` values from every block on, the first block following the last."""
    sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values, values[:length]]), axis=0)
    return sums[length:-1] - sums[: -length - 1]


def widen_draws(blocks: int, length: int) -> float:
    """Factor that makes percentiles of the draws cover: the "expanded percentile interval" of Hesterberg (2015).

    Deviations of stretches are taken from the sample's own mean, which they have pulled towards themselves; and their
    variance is itself an estimate, with 3 n / (2 length) degrees of freedom if stretches overlap: so Student's t.
    """
    tail = (1 + LEVEL) / 2
    student = t.ppf(tail, 1.5 * blocks / length) / norm.ppf(tail)
    return float(student * np.sqrt(blocks / (blocks - length)))


def function_interval(
    means: Float[np.ndarray, "series"],
    draws: Float[np.ndarray, "draws series"],
    function: Function,
) -> Estimate:
    """A function of the means, with the percentiles of its joint draws as interval; without a p-value.

    Args:
        means: Means of all series.
        draws: Their joint draws, of `resample_means`.
        function: From means to one number per draw.
    """
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(function(draws), [tail, 1 - tail])
    return Estimate(float(function(means)), float(low), float(high), np.nan)


def invert_percentiles(draws: Float[np.ndarray, "draws"], null: float) -> float:
    """Two-sided p-value of a null value: what level a percentile interval must have to reach it.

    Args:
        draws: A function of `resample_means`, one number per draw.
        null: The value asked about.

    Returns:
        Twice the smaller share of draws on either side of the null, one more counted, so at least 2 / (draws + 1): no
        number of draws shows that chance never does it. A draw that is the null, up to rounding, stands on both sides.
    """
    equal = np.isclose(draws, null, rtol=1e-9, atol=1e-12)
    sides = np.count_nonzero(equal | (draws < null)), np.count_nonzero(equal | (draws > null))
    return float(min(1.0, 2 * (min(sides) + 1) / (len(draws) + 1)))


def ratio_interval(
    means: Float[np.ndarray, "series"],
    draws: Float[np.ndarray, "draws series"],
    numerator: Function,
    denominator: Function,
) -> Estimate:
    """The ratio of two functions of the means; not applicable where the denominator may be zero.

    Returns:
        All nan if the denominator's own interval holds zero: then the ratio's sign and size are arbitrary.
    """
    if function_interval(means, draws, denominator).holds_zero:
        return NOT_APPLICABLE
    return function_interval(means, draws, lambda values: numerator(values) / denominator(values))


def adjust_holm(p_values: Float[np.ndarray, "tests"]) -> Float[np.ndarray, "tests"]:
    """Holm's adjustment for a family of tests; nan stays nan and does not count in the family."""
    adjusted = np.full(len(p_values), np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        adjusted[known] = multipletests(p_values[known], method="holm")[1]
    return adjusted
