"""Thresholds: quantiles of |x| at every site, and the share that they really set to zero."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models, progress, sparsify
from spon.sites import layer_of

# Dropping 13 bits of a float32 leaves 10 of its mantissa: bins that are at most 0.1 % wide, over
# the whole range of floating point, in 2 MB per site and without a range to choose or a second
# pass over the text.
DROPPED_BITS = 13
BINS = 1 << (31 - DROPPED_BITS)
SHARES = np.arange(1, 1000) / 1000


def read_quantiles(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sites: Iterable[str],
    batch_tokens: int,
    dense_share: float,
) -> pd.DataFrame:
    """Quantiles of the magnitude of every site's inputs on the dense model's pass.

    Memory does not grow with the text: each site has one histogram.

    Returns:
        `site, layer, share, magnitude`: the magnitude that `share` of the site's input entries do
        not exceed.
    """
    # ASSUME: one pass of the dense model serves all sites; choosing each threshold behind the
    # sites before it would hit the share in the sparse pass instead, but makes thresholds depend
    # on the order of sites.
    counts = {site: torch.zeros(BINS, dtype=torch.int64, device=network.device) for site in sites}

    def count(site: str, x: Tensor) -> None:
        counts[site] += count_magnitudes(x[:, int(dense_share * x.shape[1]) :])

    watch_inputs(network, tokens, counts, count, batch_tokens)
    frames = [
        pd.DataFrame(
            {
                "site": site,
                "layer": layer_of(site),
                "share": SHARES,
                "magnitude": quantiles(histogram.cpu()),
            }
        )
        for site, histogram in counts.items()
    ]
    return pd.concat(frames, ignore_index=True)


def count_magnitudes(x: Float[Tensor, "..."]) -> Int[Tensor, "bins"]:
    """Histogram of |x| over bins of equal width in the bits of a float32.

    The bits of a positive float, read as an integer, grow with it.
    """
    bits = x.detach().float().abs().flatten().view(torch.int32) >> DROPPED_BITS
    return torch.bincount(bits, minlength=BINS)


def quantiles(histogram: Int[Tensor, "bins"], shares: np.ndarray = SHARES) -> np.ndarray:
    """Magnitudes that the given shares of the counted entries do not exceed, linear inside a bin."""
    counts = histogram.numpy()
    edges = (
        (np.arange(BINS + 1, dtype=np.uint32) << DROPPED_BITS).view(np.float32).astype(np.float64)
    )
    cumulative = np.cumsum(counts, dtype=np.float64)
    wanted = shares * cumulative[-1]
    bins = np.searchsorted(
        cumulative, wanted
    )  # the first bin that reaches the share is never an empty one
    inside = 1 - (cumulative[bins] - wanted) / counts[bins]
    return edges[bins] + inside * (edges[bins + 1] - edges[bins])


def watch_inputs(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sites: Iterable[str],
    see: Callable[[str, Tensor], None],
    batch_tokens: int,
) -> None:
    """Run the model over `tokens` and show `see` the inputs of every site, batch by batch."""
    with ExitStack() as stack, torch.inference_mode():
        for site in sites:
            hook = network.get_submodule(site).register_forward_pre_hook(
                lambda _, inputs, site=site: see(site, inputs[0])
            )
            stack.callback(hook.remove)
        for batch in progress.follow(models.batches(tokens, batch_tokens)):
            models.final_states(network, batch)


def choose_thresholds(
    sites: Iterable[str], quantiles: pd.DataFrame | None, sparsity: float
) -> dict[str, float]:
    """Thresholds that drop the share `sparsity` of every site's input entries; NaN without quantiles."""
    if quantiles is None:
        return dict.fromkeys(sites, float("nan"))
    groups = quantiles.groupby("site")
    return {
        site: float(np.interp(sparsity, group["share"], group["magnitude"]))
        for site in sites
        for group in [groups.get_group(site)]
    }


def measure_thresholds(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    thresholds: Mapping[str, float],
    method: str,
    sparsity: float,
    dense_share: float,
    batch_tokens: int,
) -> pd.DataFrame:
    """What thresholds really set to zero on held-out text.

    Returns:
        `site, layer, threshold, sparsity_dense_pass, sparsity_sparse_pass`: the shares of a site's
        input entries set to zero where all other sites are dense, and where all sites of the scope
        are sparsified.
    """
    whole = sparsify.make_sparsifiers(network, thresholds, method, sparsity, dense_share=0.0)
    started = sparsify.make_sparsifiers(network, thresholds, method, sparsity, dense_share)
    dense = measure_sparsity(network, tokens, whole, batch_tokens, dense_share)
    with sparsify.sparsified(network, started):
        sparse = measure_sparsity(network, tokens, whole, batch_tokens, dense_share)
    rows = [
        (site, layer_of(site), value, dense[site], sparse[site])
        for site, value in thresholds.items()
    ]
    return pd.DataFrame(
        rows, columns=["site", "layer", "threshold", "sparsity_dense_pass", "sparsity_sparse_pass"]
    )


def measure_sparsity(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    batch_tokens: int,
    dense_share: float,
) -> dict[str, float]:
    """Share of each site's input entries that S sets to zero in one pass of the model as it stands.

    The start of a sequence that the protocol leaves dense does not count.
    """
    zeros = dict.fromkeys(sparsifiers, 0)
    entries = dict.fromkeys(sparsifiers, 0)

    def count(site: str, x: Tensor) -> None:
        x = x[:, int(dense_share * x.shape[1]) :]
        zeros[site] += int((sparsifiers[site](x) == 0).sum())
        entries[site] += x.numel()

    watch_inputs(network, tokens, sparsifiers, count, batch_tokens)
    return {site: zeros[site] / entries[site] for site in sparsifiers}


def load_quantiles(path: str | Path | Sequence | None) -> pd.DataFrame | None:
    """The quantiles of a scope; none where sites are sparsified by rank."""
    return pd.read_parquet(path) if path else None
