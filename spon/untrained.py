"""Biases without training, to compare trained ones with: mean residuals and random directions."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models, progress, sparsify


def average_residual(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    sites: Sequence[str],
    batch_tokens: int,
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return the mean of what sparsification takes from each site's output: b = E[W (x - S(x))].

    x are the site's inputs in the dense pass. For these, b is the constant that brings the site's
    own output nearest to the dense one in the mean square. As W is linear, only the sum of
    x - S(x) is kept, and W is applied once.

    Args:
        network: The dense model.
        tokens: Calibration blocks.
        sparsifiers: S by site, for all sites of the scope.
        sites: Those that get a bias.
        batch_tokens: Tokens per forward pass.

    Returns:
        b by site, float32; zero where nothing is set to zero.
    """
    totals = {site: torch.zeros((), dtype=torch.float64) for site in sites}
    for batch in progress.follow(models.batches(tokens, batch_tokens)):
        for site, (x, _) in models.record(network, batch, sites).items():
            totals[site] = (
                totals[site]
                + (x - sparsifiers[site](x)).sum(dim=(0, 1), dtype=torch.float64).cpu()
            )
    # ASSUME: the mean is over all positions, those that stay dense included, since the bias is
    # added there too.
    biases = {}
    for site, total in totals.items():
        weight = models.read_parameter(network.get_submodule(site)).double().cpu()
        biases[site] = (weight @ total / tokens.numel()).float()
    return biases


def random_directions(
    biases: Mapping[str, Float[Tensor, "d_out"]], seed: int
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return biases in random directions, each with the norm of the site's bias.

    Args:
        biases: Those of a run.
        seed: Of the directions; the same seed gives the same ones.
    """
    generator = torch.Generator().manual_seed(seed)
    directions = {}
    for site, bias in biases.items():
        vector = torch.randn(len(bias), generator=generator, dtype=torch.float64)
        directions[site] = (vector * (bias.double().norm() / vector.norm())).float()
    return directions
