"""Intervals and p-values of means over evaluation blocks, and of what is computed from them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations

import numpy as np
from jaxtyping import Float
from scipy import fft
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit
from scipy.stats import norm, rankdata, spearmanr

LEVEL = 0.95
# Up to so many sites, a rank correlation is compared with all orders of them; 8! is 40,320.
EXACT_SITES = 8


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; nan where it is not applicable.

    Attributes:
        p_value: Two-sided, against zero unless another null is named.
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


@dataclass(frozen=True)
class Errors:
    """Independent errors of a number, linear in it: those of its text and of its trainings.

    Attributes:
        text: As many as the text leaves degrees of freedom; the sum of their squares is the
            variance.
        trainings: The same for trainings, whose errors add up to zero, so they have one degree of
            freedom less; a single zero where there is one training or none.
    """

    text: Float[np.ndarray, "degrees"]
    trainings: Float[np.ndarray, "trainings"]

    def add(self, other: "Errors", factor: float) -> "Errors":
        """The errors of a number plus a multiple of another one."""
        return Errors(self.text + factor * other.text, self.trainings + factor * other.trainings)

    def measure(self) -> tuple[float, float]:
        """The standard error and its degrees of freedom, by Satterthwaite's approximation."""
        variances = np.array([self.text @ self.text, self.trainings @ self.trainings])
        degrees = np.array([len(self.text), max(1, len(self.trainings) - 1)])
        total = float(variances.sum())
        if total == 0:
            return 0.0, float(degrees[0])
        return float(np.sqrt(total)), 1 / float(np.sum((variances / total) ** 2 / degrees))


@dataclass(frozen=True, eq=False)
class Quantity:
    """A number computed from means over blocks, with what every block and training adds to it.

    A mean over blocks is exactly the sum of what its blocks add. What is computed from means is
    treated as such a sum too, by its first derivative (linearisation), so that what two
    quantities share cancels in their difference. A ratio is tested without: see `test`.

    A ratio to a quantity whose own interval holds zero has arbitrary sign and size: it is not
    applicable, its numbers are nan, and so is all that is computed from it.

    Attributes:
        value: The number itself.
        influence: How far each block moves it, in the order of the text and zero on average:
            `value + influence` is a series whose mean is the number, with its error.
        trainings: How far the number of each training is from their mean `value`, in the order of
            the seeds. A single zero where there is one training or none: then what is said of
            the number is said of this training.
        name: What it is, as in "the gain of TOP-50 may be zero"; empty if nobody named it.
        zero_denominator: The first quantity whose interval holds zero that it was divided by.
        ratio_of: Numerator and denominator, if the last that was done is a division.
    """

    value: float
    influence: Float[np.ndarray, "blocks"]
    trainings: Float[np.ndarray, "trainings"] = field(default_factory=lambda: np.zeros(1))
    name: str = ""
    zero_denominator: "Quantity | None" = None
    ratio_of: "tuple[Quantity, Quantity] | None" = None

    def named(self, name: str) -> "Quantity":
        """The same quantity under this name."""
        return replace(self, name=name)

    def __add__(self, other: "Quantity") -> "Quantity":
        """The sum."""
        return self._add(other, 1.0)

    def __sub__(self, other: "Quantity") -> "Quantity":
        """The difference."""
        return self._add(other, -1.0)

    def __mul__(self, factor: int | float) -> "Quantity":
        """The quantity in another unit."""
        assert not isinstance(factor, Quantity), "a product of two quantities has no use here"
        return replace(
            self,
            value=self.value * factor,
            influence=self.influence * factor,
            trainings=self.trainings * factor,
            name="",
            ratio_of=self.ratio_of and (self.ratio_of[0] * factor, self.ratio_of[1]),
        )

    __rmul__ = __mul__

    def __truediv__(self, other: "Quantity | int | float") -> "Quantity":
        """The ratio; not applicable where the interval of `other` holds zero."""
        if not isinstance(other, Quantity):
            return self * (1 / other)
        missing = self.zero_denominator or other.zero_denominator
        if missing is None and other.interval().holds_zero:
            missing = other
        ratio, unit = (np.nan, np.nan) if missing else (self.value / other.value, other.value)
        rest = self._add(other, -ratio)
        return Quantity(
            ratio,
            rest.influence / unit,
            rest.trainings / unit,
            zero_denominator=missing,
            ratio_of=(self, other),
        )

    def exp(self) -> "Quantity":
        """The exponential, such as the perplexity of a negative log-likelihood."""
        value = float(np.exp(self.value))
        return replace(
            self,
            value=value,
            influence=self.influence * value,
            trainings=self.trainings * value,
            ratio_of=None,
        )

    def _add(self, other: "Quantity", factor: float) -> "Quantity":
        """Add a multiple of a quantity; of two zero denominators the first one's is kept."""
        blocks = len(self.influence), len(other.influence)
        assert blocks[0] == blocks[1], f"quantities of {blocks} blocks are not of one text"
        trainings = {len(self.trainings), len(other.trainings)} - {1}
        assert len(trainings) < 2, f"quantities of {trainings} trainings cannot be paired"
        return Quantity(
            self.value + factor * other.value,
            self.influence + factor * other.influence,
            self.trainings + factor * other.trainings,
            zero_denominator=self.zero_denominator or other.zero_denominator,
        )

    @cached_property
    def errors(self) -> Errors:
        """What its standard error is made of."""
        count = len(self.trainings)
        between = self.trainings / np.sqrt(count * max(1, count - 1))
        return Errors(read_slow_errors(self.influence), between)

    def interval(self) -> Estimate:
        """The number with its interval, and its p-value against zero."""
        return self.test(0.0)

    def test(self, null: float) -> Estimate:
        """The number with its interval and the p-value of a null value.

        A ratio N / D is tested as Fieller does: its null r is that N - r D is zero, which is
        linear in N and D. Its interval ends at the nulls whose p-value is 5 %, so both agree.

        Returns:
            Nan where the quantity is not applicable. A null that is the value, up to rounding,
            has p-value 1.
        """
        if self.zero_denominator is not None:
            return NOT_APPLICABLE
        if self.ratio_of is None:
            low, high = bound_number(self.value, self.errors)
            distance, errors = self.value - null, self.errors
        else:
            numerator, denominator = self.ratio_of
            low, high = bound_ratio(self, denominator)
            distance = (self.value - null) * denominator.value
            errors = numerator.errors.add(denominator.errors, -null)
        if math.isclose(self.value, null, rel_tol=1e-9, abs_tol=1e-12):
            return Estimate(self.value, low, high, 1.0)
        return Estimate(self.value, low, high, find_p_value(distance, errors))


def bound_number(value: float, errors: Errors, level: float = LEVEL) -> tuple[float, float]:
    """The ends of Student's interval."""
    error, degrees = errors.measure()
    half = float(error * stdtrit(degrees, (1 + level) / 2))
    return value - half, value + half


def find_p_value(distance: float, errors: Errors) -> float:
    """Student's two-sided p-value of a number that is so far from its null."""
    error, degrees = errors.measure()
    if error == 0:
        return float(distance == 0)
    return float(2 * stdtr(degrees, -abs(distance) / error))


def bound_ratio(ratio: Quantity, denominator: Quantity) -> tuple[float, float]:
    """The ends of Fieller's interval: the nulls of a ratio whose p-value is 5 %.

    They are finite, as the interval of the denominator does not hold zero.
    """
    # Nulls are searched by an angle, whose tangent is their distance in standard errors: a right
    # angle is the infinite null, which is rejected as zero is for the denominator.
    unit = ratio.errors.measure()[0]
    if unit == 0:
        return ratio.value, ratio.value
    own, below = ratio.errors, denominator.errors

    def find_excess(angle: float) -> float:
        """How far the null at an angle is beyond what is just not rejected."""
        step = unit * np.sin(angle)
        mixed = Errors(np.cos(angle) * own.text, np.cos(angle) * own.trainings)
        error, degrees = mixed.add(below, -step / denominator.value).measure()
        return abs(step) - error * float(stdtrit(degrees, (1 + LEVEL) / 2))

    angles = [brentq(find_excess, end, 0.0) for end in (-np.pi / 2, np.pi / 2)]
    low, high = (ratio.value + unit * float(np.tan(angle)) for angle in angles)
    return low, high


def average(quantities: Sequence[Quantity]) -> Quantity:
    """The mean of a quantity over trainings, in the order of their seeds.

    Its error is that of the mean's blocks and, added to it, that of the trainings: the spread
    between their values. A single training is returned as it is, without an error of its own.
    The mean of ratios is the ratio of the means of numerators and of denominators.
    """
    # ASSUME: what blocks and trainings have in common, a training's own luck with a block, counts
    # in both variances: an interval over few trainings is rather too wide than too narrow.
    if len(quantities) == 1:
        return quantities[0]
    ratios = [quantity.ratio_of for quantity in quantities if quantity.ratio_of]
    if len(ratios) == len(quantities):
        above, below = zip(*ratios, strict=True)
        return average(above) / average(below)
    assert all(len(quantity.trainings) == 1 for quantity in quantities), "averaged before"
    values = np.array([quantity.value for quantity in quantities])
    missing = [quantity.zero_denominator for quantity in quantities if quantity.zero_denominator]
    return Quantity(
        float(values.mean()),
        np.mean([quantity.influence for quantity in quantities], axis=0),
        values - values.mean(),
        name=quantities[0].name,
        zero_denominator=missing[0] if missing else None,
    )


def mean_quantity(values: Float[np.ndarray, "blocks"], name: str = "") -> Quantity:
    """The mean over blocks as a quantity."""
    mean = float(values.mean())
    return Quantity(mean, values - mean, name=name)


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
    mean = float(values.mean())
    errors = Errors(read_slow_errors(values - mean), np.zeros(1))
    return Estimate(mean, *bound_number(mean, errors, level), find_p_value(mean, errors))


def read_slow_errors(influence: Float[np.ndarray, "blocks"]) -> Float[np.ndarray, "degrees"]:
    """Independent errors of the mean of a series: its first cosine coefficients, scaled.

    The sum of their squares is the variance of the mean.

    Raises:
        ValueError: There is one block only.
    """
    blocks = len(influence)
    check_blocks(blocks)
    # ASSUME: 0.2 n^(2/3) coefficients, 20 for 1,024 blocks: half as many as Lazarus, Lewis, Stock
    # and Watson (2018) advise, since text in the order of its files drifts over tens of blocks,
    # which an average over more coefficients dilutes. With their 0.4, up to 9 % of simulated
    # ledgers had a false verdict on a clause; bench/ledger.py and bench/coverage.py measure what
    # is left.
    degrees = max(1, int(0.2 * blocks ** (2 / 3)))
    return fft.dct(influence, norm="ortho")[1 : degrees + 1] / np.sqrt(degrees * blocks)


def adjust_holm(p_values: Float[np.ndarray, "tests"]) -> Float[np.ndarray, "tests"]:
    """Holm's adjustment for a family of tests; nan stays nan and does not count in the family."""
    adjusted = np.full(len(p_values), np.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    ascending = tested[np.argsort(p_values[tested], kind="stable")]
    # The smallest counts as often as there are tests, the largest once, and none less than before.
    scaled = p_values[ascending] * np.arange(len(ascending), 0, -1)
    adjusted[ascending] = np.minimum(1.0, np.maximum.accumulate(scaled))
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
