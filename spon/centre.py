"""Mode centring (SCAP, arXiv:2412.07174): sparsify a site's inputs around their mode.

A site computes W S(x - m) + W m instead of W S(x). So inputs near their mode m are dropped instead
of those near zero, and W m is a bias that nobody has to learn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from spon import calibrate
from spon.biases import check_finite
from spon.inputs import check

SUFFIX = ".centre"
# Modes are sought among so many bins, up to so many standard deviations from the channel's mean.
BINS, REACH = 256, 4.0


def find_modes(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sites: Sequence[str],
    batch_tokens: int,
    dense_share: float = 0.0,
) -> dict[str, Float[Tensor, "d_in"]]:
    """Return the mode of every channel of every site's inputs, in the dense model's pass.

    It is the peak of a Gaussian kernel density estimate. Memory does not grow with the text, since
    a first pass finds where to look, and a second one counts in bins.
    """
    # ASSUME: a mode for every input channel. SCAP has one number per site, and sets it to zero
    # where the MLP is gated, as here; so its method in Llama's shape would be TEAL. A constant
    # bias allows for one per channel, at no cost.
    sums = {
        site: torch.zeros(2, network.get_submodule(site).in_features, dtype=torch.float64)
        for site in sites
    }
    counted = 0

    def add(site: str, x: Tensor) -> None:
        nonlocal counted
        x = keep_sparse(x, dense_share)
        sums[site] += torch.stack([x.sum(dim=0), x.square().sum(dim=0)]).cpu()
        counted += len(x) * (site == sites[0])

    calibrate.watch_inputs(network, tokens, sites, add, batch_tokens)
    grids = {}
    for site, (total, squares) in sums.items():
        mean = total / counted
        grids[site] = mean, (squares / counted - mean**2).clamp(min=0).sqrt()
        check_finite(site, "mean input", grids[site][1].numpy())
    counts = {site: torch.zeros(len(mean), BINS) for site, (mean, _) in grids.items()}

    def count(site: str, x: Tensor) -> None:
        counts[site] += count_channels(keep_sparse(x, dense_share).cpu(), *grids[site])

    calibrate.watch_inputs(network, tokens, sites, count, batch_tokens)
    return {site: find_peaks(counts[site], *grids[site]) for site in sites}


def keep_sparse(
    x: Float[Tensor, "batch length d_in"], dense_share: float
) -> Float[Tensor, "entries d_in"]:
    """Return the inputs that are sparsified, one row each, float64."""
    return x[:, int(dense_share * x.shape[1]) :].flatten(0, 1).double()


def count_channels(
    x: Float[Tensor, "entries d_in"], mean: Float[Tensor, "d_in"], deviation: Float[Tensor, "d_in"]
) -> Float[Tensor, "d_in bins"]:
    """Count every channel's entries in its bins; those beyond their reach count nowhere."""
    channels = x.shape[1]
    standardised = (x - mean) / deviation.clamp(min=torch.finfo(torch.float32).tiny)
    bins = ((standardised + REACH) * (BINS / (2 * REACH))).floor().long()
    inside = (bins >= 0) & (bins < BINS)
    numbers = (bins + BINS * torch.arange(channels))[inside]
    return torch.bincount(numbers, minlength=channels * BINS).view(channels, BINS).float()


def find_peaks(
    counts: Float[Tensor, "d_in bins"],
    mean: Float[Tensor, "d_in"],
    deviation: Float[Tensor, "d_in"],
) -> Float[Tensor, "d_in"]:
    """Return the middle of the bin in which each channel's smoothed density is highest."""
    # ASSUME: the kernel is half as wide as Scott's rule has it, as SCAP's is. The density of a
    # gated input is a peak with long tails, which the full width would flatten.
    width = 0.5 * counts[0].sum().clamp(min=1).item() ** -0.2
    centres = (torch.arange(BINS, dtype=torch.float64) + 0.5) * (2 * REACH / BINS) - REACH
    kernel = torch.exp(-0.5 * ((centres[:, None] - centres) / width) ** 2)
    return (mean + deviation * centres[(counts.double() @ kernel).argmax(dim=-1)]).float()


def choose_thresholds(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    centres: Mapping[str, Float[Tensor, "d_in"]],
    sparsity: float,
    batch_tokens: int,
    dense_share: float = 0.0,
) -> dict[str, float]:
    """Return by site the distance from their modes within which a share of all entries lies."""
    counts = {site: torch.zeros(calibrate.BINS, dtype=torch.int64) for site in centres}

    def count(site: str, x: Tensor) -> None:
        x = x[:, int(dense_share * x.shape[1]) :].float()
        counts[site] += calibrate.count_magnitudes(x - centres[site].to(x.device)).cpu()

    calibrate.watch_inputs(network, tokens, list(centres), count, batch_tokens)
    shares = np.array([sparsity])
    return {
        site: calibrate.quantiles(histogram, shares, site).item()
        for site, histogram in counts.items()
    }


def map_centres(
    read_weight: Callable[[str], Float[Tensor, "d_out d_in"]],
    centres: Mapping[str, Float[Tensor, "d_in"]],
) -> dict[str, Float[Tensor, "d_out"]]:
    """Return W m by site, the bias that makes up for the centre, float32.

    Args:
        read_weight: Gives the W of a site.
        centres: m by site.
    """
    return {
        site: (read_weight(site).double().cpu() @ centre.double()).float()
        for site, centre in centres.items()
    }


def write_centres(
    centres: Mapping[str, Float[Tensor, "d_in"]], path: str | Path, made_by: str
) -> None:
    """Write centres by site; those that are not finite are refused."""
    for site, centre in centres.items():
        check_finite(site, "centre", centre.numpy())
    tensors = {site + SUFFIX: centre.contiguous() for site, centre in centres.items()}
    save_file(tensors, path, metadata={"made_by": made_by})


def read_centres(
    path: str | Path | Sequence | None, network: nn.Module, sites: Iterable[str]
) -> dict[str, Float[Tensor, "d_in"]]:
    """Read centres by site; none without a file, which most runs do not have.

    Args:
        path: Of the file.
        network: The model that has the sites.
        sites: Those that have a centre, which are those with a bias.

    Raises:
        FileError: There are centres of other sites, or one that is no finite vector.
    """
    if not path:
        return {}
    with check.reading(path):
        tensors = load_file(path)
    centres = {name.removesuffix(SUFFIX): centre for name, centre in tensors.items()}
    if differing := sorted(centres.keys() ^ set(sites)):
        raise check.FileError(path, f"and the biases beside it differ in {differing[0]}")
    for site, centre in centres.items():
        shape = (network.get_submodule(site).in_features,)
        if centre.shape != shape or not centre.isfinite().all():
            raise check.FileError(path, f"needs {shape[0]} finite numbers for {site}")
    return centres
