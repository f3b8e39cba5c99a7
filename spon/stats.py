"""Intervals and p-values of means over evaluation blocks, and of what is computed from them."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.stats import norm, rankdata, spearmanr, t
from statsmodels.stats.multitest import multipletests

LEVEL = 0.95
# Up to so many sites, a rank correlation is compared with all orders of them; 8! is 40,320.
EXACT_SITES = 8


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


@dataclass(frozen=True, eq=False)
class Quantity:
    """A number computed from means over blocks, with its bootstrap draws.

    Quantities that were drawn jointly can be subtracted, added and divided, draw by draw, so what
    they share cancels. A ratio to a quantity whose own interval holds zero has arbitrary sign and
    size: it is not applicable, all of its numbers are nan, and so is all that is computed from it.

    Attributes:
        value: The number itself, computed from the means of all blocks.
        draws: The same, computed from the means of each draw.
        name: What it is, as in "the gain of TOP-50 may be zero"; empty if nobody named it.
        zero_denominator: The first quantity whose interval holds zero that it was divided by.
    """

    value: float
    draws: Float[np.ndarray, "draws"]
    name: str = ""
    zero_denominator: "Quantity | None" = None

    def named(self, name: str) -> "Quantity":
        """The same quantity under this name."""
        return replace(self, name=name)

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum, draw by draw."""
        return self._combine(other, operator.add)

    def __sub__(self, other: "Quantity") -> "Quantity":
        """The difference, draw by draw."""
        return self._combine(other, operator.sub)

    def __mul__(self, factor: int | float) -> "Quantity":
        """The quantity in another unit."""
        assert not isinstance(factor, Quantity), "a product of two quantities has no use here"
        return replace(self, value=self.value * factor, draws=self.draws * factor, name="")

    __rmul__ = __mul__

    def __truediv__(self, other: "Quantity | int | float") -> "Quantity":
        """The ratio, draw by draw; not applicable where the interval of `other` holds zero."""
        if not isinstance(other, Quantity):
            return replace(self, value=self.value / other, draws=self.draws / other, name="")
        if other.zero_denominator is None and other.interval().holds_zero:
            missing = np.full_like(self.draws, np.nan)
            return Quantity(np.nan, missing, zero_denominator=self.zero_denominator or other)
        return self._combine(other, operator.truediv)

    def _combine(self, other: "Quantity", compute: Callable) -> "Quantity":
        """Compute a quantity from two; of two zero denominators the first one's is kept."""
        drawn = len(self.draws), len(other.draws)
        assert drawn[0] == drawn[1], f"quantities of {drawn} draws were not drawn jointly"
        return Quantity(
            compute(self.value, other.value),
            compute(self.draws, other.draws),
            zero_denominator=self.zero_denominator or other.zero_denominator,
        )

    def interval(self) -> Estimate:
        """The number with the percentiles of its draws as interval; without a p-value."""
        if self.zero_denominator is not None:
            return NOT_APPLICABLE
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(self.draws, [tail, 1 - tail])
        return Estimate(float(self.value), float(low), float(high), np.nan)

    def p_value(self, null: float) -> float:
        """Two-sided p-value of a null value: what level the interval must have to reach it.

        Returns:
            Twice the smaller share of draws on either side of the null, one more counted, so at
            least 2 / (draws + 1): no number of draws shows that chance never does it. A draw that
            is the null, up to rounding, counts on both sides. Nan if it is not applicable.
        """
        if self.zero_denominator is not None:
            return np.nan
        equal = np.isclose(self.draws, null, rtol=1e-9, atol=1e-12)
        below = np.count_nonzero(equal | (self.draws < null))
        above = np.count_nonzero(equal | (self.draws > null))
        return float(min(1.0, 2 * (min(below, above) + 1) / (len(self.draws) + 1)))


def check_blocks(blocks: int) -> None:
    """Refuse a sample without spread."""
    if blocks < 2:
        raise ValueError(f"an interval needs 2 or more evaluation blocks, found {blocks}")


def mean_interval(values: Float[np.ndarray, "blocks"], level: float = LEVEL) -> Estimate:
    """The mean of serially correlated blocks, its interval, and its p-value against zero.

    The long-run variance is the mean square of the series' first cosine coefficients, which carry
    its slow variation, and Student's t has as many degrees of freedom ("equal-weighted cosine", a
    fixed-b method). Plain Newey-West with the normal quantile covers too little.

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
    # ASSUME: 0.4 n^(2/3) coefficients, the rule of Lazarus, Lewis, Stock and Watson (2018): 40 for
    # 1,024 blocks. Fewer make wider intervals, more let the correlation of neighbours leak out;
    # bench/coverage.py measures what is left.
    degrees = max(1, int(0.4 * blocks ** (2 / 3)))
    mean = float(values.mean())
    slow = fft.dct(values - mean, norm="ortho")[1 : degrees + 1]
    error = float(np.sqrt(np.mean(slow**2) / blocks))
    half = float(t.ppf((1 + level) / 2, degrees)) * error
    if error == 0:
        return Estimate(mean, mean, mean, float(mean == 0))
    return Estimate(mean, mean - half, mean + half, float(2 * t.sf(abs(mean) / error, degrees)))


def draw_quantities(
    values: Float[np.ndarray, "blocks series"], draws: int, seed: int
) -> list[Quantity]:
    """The means of all series as quantities that are drawn jointly; see `resample_means`."""
    means, resampled = values.mean(axis=0), resample_means(values, draws, seed)
    return [Quantity(float(mean), column) for mean, column in zip(means, resampled.T, strict=True)]


def resample_means(
    values: Float[np.ndarray, "blocks series"], draws: int, seed: int
) -> Float[np.ndarray, "draws series"]:
    """Draw the means of all series jointly, by a circular moving-block bootstrap.

    Each draw strings together stretches of neighbouring blocks, the same ones for every series, so
    that what two series share cancels in their difference or ratio.

    Args:
        values: One row per evaluation block, in the order of the text.
        draws: Number of draws.
        seed: Of the random stretches; the same seed gives the same draws.

    Returns:
        Means per draw, so spread about the series' own means that their percentiles cover (see
        `widen_draws`).

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
    """The number of neighbouring blocks that the bootstrap keeps together."""
    # ASSUME: 5 n^(1/3), which is 50 of 1,024 blocks: three times the length of least mean squared
    # error where neighbours are correlated by 0.6. A long stretch loses less of the variance; what
    # it loses in precision, wider draws make up for. No more than half of the blocks, or the draws
    # would hardly differ.
    return min(round(5 * blocks ** (1 / 3)), blocks // 2)


def sum_stretches(
    values: Float[np.ndarray, "blocks series"], length: int
) -> Float[np.ndarray, "blocks series"]:
    """The sum of `length` values from every block on, the first block following the last."""
    assert 0 < length <= len(values), f"a stretch of {length} of {len(values)} blocks"
    sums = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values, values[:length]]), axis=0)
    return sums[length:-1] - sums[: -length - 1]


def widen_draws(blocks: int, length: int) -> float:
    """Factor that makes percentiles of the draws cover: Hesterberg's expanded interval (2015).

    Deviations of stretches are taken from the sample's own mean, which they have pulled towards
    themselves; and their variance is itself an estimate, with 3 n / (2 length) degrees of freedom
    if stretches overlap: so Student's t.
    """
    tail = (1 + LEVEL) / 2
    student = t.ppf(tail, 1.5 * blocks / length) / norm.ppf(tail)
    return float(student * np.sqrt(blocks / (blocks - length)))


def adjust_holm(p_values: Float[np.ndarray, "tests"]) -> Float[np.ndarray, "tests"]:
    """Holm's adjustment for a family of tests; nan stays nan and does not count in the family."""
    adjusted = np.full(len(p_values), np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        adjusted[tested] = multipletests(p_values[tested], method="holm")[1]
    return adjusted


def rank_correlation(
    first: Float[np.ndarray, "sites"], second: Float[np.ndarray, "sites"]
) -> tuple[float, float] | None:
    """Spearman's rho and its two-sided p-value; none under 3 sites or if all of a side are equal.

    The p-value counts all orders of up to 8 sites; beyond, it is that of Student's t.
    """
    if len(first) < 3 or not np.ptp(first) or not np.ptp(second):
        return None
    rho = spearmanr(first, second)
    if len(first) > EXACT_SITES:
        return float(rho.statistic), float(rho.pvalue)
    # With the ranks of one side fixed, rho rises and falls with the sum of products of ranks.
    centred, ranks = rankdata(first) - (len(first) + 1) / 2, rankdata(second)
    sums = np.array(list(permutations(ranks))) @ centred
    as_far = np.abs(sums) >= abs(centred @ ranks) - 1e-9
    return float(rho.statistic), float(np.mean(as_far))


def kurtosis_moments(
    counts: Float[np.ndarray, "sites"],
) -> tuple[Float[np.ndarray, "sites"], Float[np.ndarray, "sites"]]:
    """Mean and variance of the excess kurtosis of so many normal numbers."""
    n = counts
    return -6 / (n + 1), 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))


def kurtosis_degrees(counts: Float[np.ndarray, "sites"]) -> Float[np.ndarray, "sites"]:
    """Degrees of freedom of the chi-square shaped like the kurtosis: A of Anscombe and Glynn."""
    n = counts
    spread = np.sqrt(6 * (n + 3) * (n + 5) / (n * (n - 2) * (n - 3)))
    skewness = 6 * (n * n - 5 * n + 2) / ((n + 7) * (n + 9)) * spread
    return 6 + 8 / skewness * (2 / skewness + np.sqrt(1 + 4 / skewness**2))


def kurtosis_score(
    excess: Float[np.ndarray, "sites"], counts: Float[np.ndarray, "sites"]
) -> Float[np.ndarray, "sites"]:
    """The kurtosis test of Anscombe and Glynn (1983), which is scipy's `kurtosistest`.

    Args:
        excess: Excess kurtosis of each site's numbers.
        counts: How many numbers; 20 or more, with fewer the test is coarse.

    Returns:
        With the standardised kurtosis x, a standard normal number if the numbers are normal:
        (1 - 2 / 9a - ((1 - 2 / a) / (1 + x sqrt(2 / (a - 4))))^(1/3)) / sqrt(2 / 9a).
    """
    a = kurtosis_degrees(counts)
    mean, variance = kurtosis_moments(counts)
    standardised = (excess - mean) / np.sqrt(variance)
    root = np.cbrt((1 - 2 / a) / (1 + standardised * np.sqrt(2 / (a - 4))))
    return (1 - 2 / (9 * a) - root) / np.sqrt(2 / (9 * a))


def kurtosis_range(count: int, level: float = LEVEL) -> tuple[float, float]:
    """The range that holds the excess kurtosis of `count` normal numbers with probability `level`.

    It is `kurtosis_score` solved for the kurtosis.

    Args:
        count: 20 or more; with fewer the test is coarse.
        level: Of the range.
    """
    counts = np.array([float(count)])
    a = kurtosis_degrees(counts)
    mean, variance = kurtosis_moments(counts)
    score = norm.ppf([(1 - level) / 2, (1 + level) / 2])
    root = 1 - 2 / (9 * a) - score * np.sqrt(2 / (9 * a))
    standardised = ((1 - 2 / a) / root**3 - 1) / np.sqrt(2 / (a - 4))
    low, high = mean + np.sqrt(variance) * standardised
    return float(low), float(high)
