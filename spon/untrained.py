"""Biases that nobody trained: what training has to beat."""

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
    """The mean of what sparsification takes away from a site's output, b = E[W (x - S(x))], x from the dense pass.

    It is the constant that brings the site's own output nearest to the dense one, in the mean
    square and for inputs of the dense pass. As W is linear, only the mean of x - S(x) is kept, and
    W is applied once.

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
    weights = {site: network.get_submodule(site).weight.double().cpu() for site in sites}
    return {site: (weights[site] @ totals[site] / tokens.numel()).float() for site in sites}


def draw_directions(
    biases: Mapping[str, Float[Tensor, "d_out"]], seed: int
) -> dict[str, Float[Tensor, "d_out"]]:
    """Biases that point anywhere, each as long as the one it stands for.

    Args:
        biases: Those of a run.
        seed: Of the directions; the same seed gives the same ones.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = {
        site: torch.randn(len(bias), generator=generator, dtype=torch.float64)
        for site, bias in biases.items()
    }
    return {
        site: (drawn[site] * (biases[site].double().norm() / drawn[site].norm())).float()
        for site in biases
    }
