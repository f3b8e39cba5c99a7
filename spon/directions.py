"""What cosines are worth: how well random directions align by chance alone."""

import numpy as np
from jaxtyping import Float
from scipy.stats import beta


def cosine(
    first: Float[np.ndarray, "dimensions"], second: Float[np.ndarray, "dimensions"]
) -> float:
    """The cosine of the angle between two vectors; nan if one of them is zero, which has no direction."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths else np.nan


def cosine_quantile(dimensions: int, level: float) -> float:
    """The |cosine| that a random direction exceeds against any fixed one with probability 1 - `level`.

    The angle with a fixed direction has a density proportional to sin^(d-2) (Cai, Fan and Jiang
    2013, Distributions of Angles in Random Packing on Spheres), so its squared cosine has the
    distribution Beta(1/2, (d - 1) / 2). Exact.

    Args:
        dimensions: 2 or more.
        level: Between 0 and 1.

    Returns:
        In 2 dimensions sin(90° · level), in 3 the level itself; about 1.96 / sqrt(d) at 0.95 in
        many.
    """
    assert dimensions >= 2, f"a direction needs 2 or more dimensions, got {dimensions}"
    return float(np.sqrt(beta.ppf(level, 1 / 2, (dimensions - 1) / 2)))


def max_cosines(
    dimensions: int, components: int, draws: int, seed: int
) -> Float[np.ndarray, "draws"]:
    """The largest |cosine| of random directions with any of a set of orthonormal ones, by simulation.

    A direction of normal entries is uniform and may be turned until the set is made of its first
    axes; of its other entries only the sum of squares matters, which is chi-squared. So a draw
    costs as much as the set is large.

    Args:
        dimensions: Of the space; at least as many as the set has members.
        components: Members of the orthonormal set.
        draws: Random directions; with 10,000, the 95 % quantile is known to about 0.5 % of itself.
        seed: The same seed gives the same draws.

    Returns:
        One value between 0 and 1 per direction; a set of one has the quantiles of
        `cosine_quantile`.
    """
    assert 1 <= components <= dimensions, (
        f"{components} orthonormal directions in {dimensions} dimensions"
    )
    source = np.random.default_rng(seed)
    inside = source.standard_normal((draws, components)) ** 2
    outside = source.chisquare(dimensions - components, draws) if dimensions > components else 0.0
    return np.sqrt(inside.max(axis=1) / (inside.sum(axis=1) + outside))


def share_reaching(null: Float[np.ndarray, "draws"], value: float) -> float:
    """The p-value of a value by simulation: the share of the null that reaches it, itself counted as one of them.

    Returns:
        At least 1 / (draws + 1): no number of draws shows that chance reaches a value never.
    """
    return float((1 + np.count_nonzero(null >= value)) / (1 + len(null)))
