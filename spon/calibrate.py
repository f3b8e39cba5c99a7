"""Choose thresholds from the quantiles of |x| at every site, and measure what they set to zero.

Other methods have quantiles of another score than the magnitude (`spon.methods`).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models, progress, sparsify
from spon.inputs import check
from spon.methods import registry
from spon.sites import layer_of

# A bin of the histogram holds the float32 numbers that differ in their last 13 bits alone. The 10
# bits of mantissa that are left make a bin at most 0.1 % wide. Such bins span all floating-point
# numbers in 2 MB per site, so the text is read once, without a range known beforehand.
DROPPED_BITS = 13
BINS = 1 << (31 - DROPPED_BITS)
INFINITE = 0x7F800000 >> DROPPED_BITS  # the bin of infinity; those of NaN are behind it
SHARES = np.arange(1, 1000) / 1000


def read_quantiles(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sites: Iterable[str],
    batch_tokens: int,
    dense_share: float,
    method: str = "threshold",
) -> pd.DataFrame:
    """Return quantiles of the magnitude of every site's inputs, from one pass of the dense model.

    Memory does not grow with the text, since each site has one histogram.

    Returns:
        `site, layer, share, magnitude`: the magnitude, or what else the method scores inputs by,
        that `share` of the site's input entries do not exceed.
    """
    # ASSUME: one pass of the dense model serves all sites; choosing each threshold behind the
    # sites before it would hit the share in the sparse pass instead, but makes thresholds depend
    # on the order of sites.
    counts = {site: torch.zeros(BINS, dtype=torch.int64, device=network.device) for site in sites}

    def count(site: str, x: Tensor) -> None:
        scores = x[:, int(dense_share * x.shape[1]) :]
        if method in registry.METHODS:
            weight = models.read_parameter(network.get_submodule(site))
            scores = registry.METHODS[method].score_inputs(scores, weight)
        counts[site] += count_magnitudes(scores).to(network.device)

    watch_inputs(network, tokens, counts, count, batch_tokens)
    tables = []
    for site, histogram in counts.items():
        names = {"site": site, "layer": layer_of(site)}
        magnitudes = quantiles(histogram.cpu(), site=site)
        tables.append(pd.DataFrame({**names, "share": SHARES, "magnitude": magnitudes}))
    return pd.concat(tables, ignore_index=True)


def count_magnitudes(x: Float[Tensor, "..."]) -> Int[Tensor, "bins"]:
    """Return the histogram of |x| over the `BINS` bins.

    The bits of a positive float, read as an integer, grow with the float, so the leading bits of
    |x| number the bins in the order of magnitude.
    """
    bits = x.detach().float().abs().flatten().view(torch.int32) >> DROPPED_BITS
    return torch.bincount(bits, minlength=BINS)


def quantiles(
    histogram: Int[Tensor, "bins"], shares: np.ndarray = SHARES, site: str = "a site"
) -> np.ndarray:
    """Return the magnitudes that `shares` of the counted entries do not exceed.

    Inside a bin, the magnitude is interpolated linearly.

    Raises:
        ValueError: Some of the entries of `site` are not finite.
    """
    counts = histogram.numpy()
    broken = counts[INFINITE:].sum()
    if broken:
        raise ValueError(f"{broken} of {counts.sum()} inputs of {site} are not finite numbers")
    edges = (
        (np.arange(BINS + 1, dtype=np.uint32) << DROPPED_BITS).view(np.float32).astype(np.float64)
    )
    cumulative = np.cumsum(counts, dtype=np.float64)
    assert cumulative[-1] > 0, "a histogram without entries has no quantiles"
    targets = shares * cumulative[-1]
    # The first bin whose cumulative count reaches a target is not empty: else the bin before it
    # would have reached it.
    bins = np.searchsorted(cumulative, targets)
    inside = 1 - (cumulative[bins] - targets) / counts[bins]
    return edges[bins] + inside * (edges[bins + 1] - edges[bins])


def watch_inputs(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sites: Iterable[str],
    see: Callable[[str, Tensor], None],
    batch_tokens: int,
) -> None:
    """Run the model over `tokens` and call `see` with each site and its inputs, batch by batch."""
    with ExitStack() as stack, torch.inference_mode():
        for site in sites:
            hook = network.get_submodule(site).register_forward_pre_hook(
                lambda _, inputs, site=site: see(site, inputs[0])
            )
            stack.callback(hook.remove)
        seen = 0
        for batch in progress.follow(models.batches(tokens, batch_tokens)):
            models.check_finite(network, batch, models.final_states(network, batch), seen)
            seen += len(batch)


def choose_thresholds(
    sites: Iterable[str], quantiles: pd.DataFrame | None, sparsity: float
) -> dict[str, float]:
    """Return the threshold by site that sets the share `sparsity` of the site's inputs to zero.

    Without quantiles, sites are sparsified by rank, and every threshold is NaN.
    """
    if quantiles is None:
        return dict.fromkeys(sites, float("nan"))
    tables = quantiles.groupby("site")
    thresholds = {}
    for site in sites:
        table = tables.get_group(site)
        thresholds[site] = float(np.interp(sparsity, table["share"], table["magnitude"]))
    return thresholds


def measure_thresholds(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    thresholds: Mapping[str, float],
    method: str,
    sparsity: float,
    dense_share: float,
    batch_tokens: int,
    centres: Mapping[str, Float[Tensor, "d_in"]] = sparsify.NO_SITES,
    biases: Mapping[str, Float[Tensor, "d_out"]] = sparsify.NO_SITES,
) -> pd.DataFrame:
    """Measure the share of every site's inputs that its threshold sets to zero on held-out text.

    Args:
        network: The dense model.
        tokens: Held-out blocks.
        thresholds: By site of the scope.
        method: How sites are sparsified.
        sparsity: The share that is asked for.
        dense_share: Share of every sequence that stays dense, and does not count.
        batch_tokens: Tokens per forward pass.
        centres: By site, what is taken from the inputs before; none but in mode centring.
        biases: By site, what makes up for the centres in the sparse pass.

    Returns:
        `site, layer, threshold, sparsity_dense_pass, sparsity_sparse_pass`: the shares of a site's
        input entries set to zero where all other sites are dense, and where all sites of the scope
        are sparsified. Entries that were zero before count too.

    Raises:
        ValueError: A threshold is negative or not finite, but for NaN where sites are sparsified
            by rank.
    """
    check_thresholds(thresholds, method)
    make = partial(
        sparsify.make_sparsifiers, network, thresholds, method, sparsity, centres=centres
    )
    # `measure_sparsity` itself leaves out the start of a sequence that stays dense.
    counted, applied = make(dense_share=0.0), make(dense_share=dense_share)
    dense = measure_sparsity(network, tokens, counted, batch_tokens, dense_share)
    with sparsify.sparsified(network, applied), sparsify.biased(network, biases):
        # What is watched is what S gave already.
        counted = dict.fromkeys(thresholds, nn.Identity())
        sparse = measure_sparsity(network, tokens, counted, batch_tokens, dense_share)
    rows = [
        (site, layer_of(site), threshold, dense[site], sparse[site])
        for site, threshold in thresholds.items()
    ]
    return pd.DataFrame(
        rows, columns=["site", "layer", "threshold", "sparsity_dense_pass", "sparsity_sparse_pass"]
    )


def check_thresholds(thresholds: Mapping[str, float], method: str) -> None:
    """Refuse thresholds that are negative or not finite; NaN is for sites sparsified by rank."""
    for site, threshold in thresholds.items():
        by_rank = method == "topk" and math.isnan(threshold)
        if not (by_rank or 0 <= threshold < math.inf):
            raise ValueError(
                f"the threshold of {site} is {threshold}: allowed are finite numbers, zero or more"
            )


def measure_sparsity(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    batch_tokens: int,
    dense_share: float,
) -> dict[str, float]:
    """Return the share of each site's input entries that S would make zero, in one pass.

    The model runs as it is, sparsified or not. The start of a sequence that the protocol leaves
    dense does not count.
    """
    zeros = dict.fromkeys(sparsifiers, 0)
    entries = dict.fromkeys(sparsifiers, 0)

    def count(site: str, x: Tensor) -> None:
        x = x[:, int(dense_share * x.shape[1]) :]
        zeros[site] += int((sparsifiers[site](x) == 0).sum())
        entries[site] += x.numel()

    watch_inputs(network, tokens, sparsifiers, count, batch_tokens)
    return {site: zeros[site] / entries[site] for site in sparsifiers}


def load_quantiles(
    path: str | Path | Sequence | None, sites: Sequence[str]
) -> pd.DataFrame | None:
    """Read the quantiles of a scope; None without a file, which a scope by rank does not have.

    Raises:
        FileError: They are not of exactly these sites, or a site has not one magnitude for each
            share, finite and never falling.
    """
    if not path:
        return None
    table = check.read_table(path, ["site", "share", "magnitude"])
    if differing := sorted(set(table["site"]) ^ set(sites)):
        raise check.FileError(path, f"and the scope differ in the site {differing[0]}")
    check.check_numbers(table, path, ["share", "magnitude"], least=0)
    for site, rows in table.groupby("site"):
        if not np.array_equal(rows["share"], SHARES):
            raise check.FileError(path, f"has other shares of {site} than 0.001 to 0.999")
        if (rows["magnitude"].diff() < 0).any():
            raise check.FileError(path, f"has magnitudes of {site} that fall")
    return table
