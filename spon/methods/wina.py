"""WINA: keep the inputs that weigh most, by magnitude and by the weights that they meet.

Chen et al., 2025, arXiv:2505.19427. The share of an entry x_i in the output W x is the vector
x_i W_i, with column i of W; its length is what is compared.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def norm_columns(weight: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_in"]:
    """Return the L2 norm of every column of a site's weight, float32."""
    return torch.linalg.vector_norm(weight.detach().float(), dim=0)


def weigh(
    x: Float[Tensor, "*batch d_in"], norms: Float[Tensor, "d_in"]
) -> Float[Tensor, "*batch d_in"]:
    """Return the length of what every entry adds to a site's output, float32."""
    return x.detach().float().abs() * norms.to(x.device)


def score_inputs(
    x: Float[Tensor, "*batch d_in"], weight: Float[Tensor, "d_out d_in"]
) -> Float[Tensor, "*batch d_in"]:
    """Return what the threshold of a site is a quantile of."""
    return weigh(x, norm_columns(weight))


# ASSUME: one threshold per site on the score, from its quantile, as TEAL has it on the magnitude,
# so that the two differ in the score alone; the paper ranks the entries of every token. The
# weights stay as they are: the paper turns some of them by an orthogonal matrix before, for a
# bound on the error, which changes the model that is sparsified.
def make_sparsifier(weight: Float[Tensor, "d_out d_in"], threshold: float) -> Callable:
    """Return the S of a site: entries whose score is no larger than the threshold become zero.

    A NaN stays NaN.

    Args:
        weight: Of the site.
        threshold: Largest score dropped, in the units of the site's output; zero or more.
    """
    assert threshold >= 0, f"threshold must be zero or more, got {threshold}"
    norms = norm_columns(weight)

    def keep_heavy(x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_in"]:
        return x.masked_fill(weigh(x, norms) <= threshold, 0)

    return keep_heavy
