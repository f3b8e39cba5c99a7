"""Decode with the dense model, with TEAL and with TEAL and biases in turn, and compare."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import memory, progress
from spon.biases import OF_RUN, read_names
from spon.decode.bandwidth import measure_bandwidth
from spon.decode.maps import reading_kept, transpose_weights
from spon.decode.stream import count_bytes, counted, decode
from spon.inputs import check
from spon.sparsify import NO_SITES, Sparsifier, load_biases, read_sparsifiers

# What a row is of. The names of spon.sites stand for evaluations of the study, in its precision,
# and an allocation names a run alone.
DENSE, TEAL, SPON = "dense", "teal", "spon"
# Without a run.
NO_RUN = {"allocation": "", "seed": None}


class Variant(NamedTuple):
    """A way to run the model, with the names that its rows have."""

    names: dict[str, object]
    sparsifiers: Mapping[str, Sparsifier] = NO_SITES
    biases: Mapping[str, Float[Tensor, "d_out"]] = NO_SITES

    def place(self) -> tuple:
        """Return its scope and sparsity, which a run with biases shares with one without."""
        return self.names["scope"], self.names["sparsity"]


def check_memory(shape: Mapping, memory_gib: float | int, name: str = "memory_gib") -> None:
    """Refuse a model that does not fit with its linear maps transposed beside it.

    Args:
        shape: A `model.json`'s shape.
        memory_gib: Memory that may be used.
        name: What the sentence calls it.

    Raises:
        ValueError: It does not.
    """
    twice = memory.estimate_weights(shape, "float32", "cpu") + 4 * shape["linear_weights"]
    if twice > memory_gib * memory.GIB:
        raise ValueError(
            f"{name} is {memory_gib:.4g}, the model in float32 and its linear maps once more, "
            f"transposed, need {twice / memory.GIB:.3g}"
        )


def list_variants(
    network: nn.Module,
    thresholds: Iterable[str],
    biases: Iterable[str],
    runs: Sequence[Mapping],
    sparsification: Mapping,
) -> list[Variant]:
    """Return the dense model, TEAL for every file of thresholds, and every run with its biases.

    Args:
        network: The model.
        thresholds: Files of a scope at a sparsity each; among them those of the runs.
        biases: Files of the runs.
        runs: `allocation, scope, sparsity, seed` of every run.
        sparsification: The study's `method` and `dense_share`.

    Raises:
        FileError: A file is damaged, or that of something else.
    """
    variants = [Variant({"scope": "", "sparsity": 0.0, "variant": DENSE, **NO_RUN})]
    for path in thresholds:
        table = check.read_table(path, ["scope", "sparsity", "site", "threshold"])
        names = {"scope": table["scope"][0], "sparsity": float(table["sparsity"][0])}
        sparsifiers = read_sparsifiers(
            network, path, sparsification, names["sparsity"], names=names
        )
        variants.append(Variant({**names, "variant": TEAL, **NO_RUN}, sparsifiers))
    teal = {variant.place(): variant.sparsifiers for variant in variants}
    for path in biases:
        run = find_run(path, runs)
        names = {"scope": run["scope"], "sparsity": float(run["sparsity"]), "variant": SPON}
        names |= {name: run[name] for name in NO_RUN}
        place = names["scope"], names["sparsity"]
        variants.append(Variant(names, teal[place], load_biases(path, network, run)))
    return variants


def find_run(path: str, runs: Sequence[Mapping]) -> Mapping:
    """Return the run that a file of biases is of.

    Raises:
        FileError: It is of none of them.
    """
    told = read_names(path)
    names = [name for name in OF_RUN if name != "study"]
    for run in runs:
        if all(name in told and check.is_same(told[name], run[name]) for name in names):
            return run
    raise check.FileError(path, "is of no run that decode.runs has")


def measure_decoding(
    network: nn.Module,
    variants: Sequence[Variant],
    prompt: Int[Tensor, "length"],
    tokens: int,
    repeats: int,
) -> pd.DataFrame:
    """Measure how fast variants decode one stream, in turn, after a round that warms up.

    Args:
        network: The model, float32 on a CPU.
        variants: The dense one is the first.
        prompt: What the stream begins with.
        tokens: Decoded behind it; the first comes of the prompt and is not timed.
        repeats: Rounds that are timed, in each of which the memory's bandwidth is measured too.

    Returns:
        A row per variant: its names; `bytes_per_token` of weights, and `kept_share` of those of
        its sites, 1 of the dense model; `tokens_per_second`, the median round, with the slowest
        and the fastest; `bandwidth_share`, of the `bandwidth_gb_per_second` that was measured;
        `speed_up`, against the dense model in the same rounds, with its `bound` by bytes; and
        `overhead`, the time of a run beyond that of TEAL, as a share of it.
    """
    sites = {site for variant in variants for site in variant.sparsifiers}
    transposed = transpose_weights(network, sites)
    rates, bandwidth = time_variants(network, variants, transposed, prompt, tokens, repeats)
    kept = [count_kept(network, variant, transposed, prompt, tokens) for variant in variants]
    counts = [
        {
            "bytes_per_token": count_bytes(network, shares, variant.biases),
            "kept_share": share_of_weights(network, shares),
        }
        for variant, shares in zip(variants, kept, strict=True)
    ]
    return describe_rates(variants, rates, counts, bandwidth)


def time_variants(
    network: nn.Module,
    variants: Sequence[Variant],
    transposed: Mapping[str, Tensor],
    prompt: Int[Tensor, "length"],
    tokens: int,
    repeats: int,
) -> tuple[list[list[float]], float]:
    """Return tokens per second of every variant by round, and the bandwidth in bytes per second.

    The bandwidth is the fastest that was measured before any of the rounds.
    """
    rates: list[list[float]] = [[] for _ in variants]
    bandwidths = []
    counter = progress.Progress((repeats + 1) * len(variants) * tokens)
    for number in range(repeats + 1):
        bandwidths.append(measure_bandwidth())
        for variant, timed in zip(variants, rates, strict=True):
            with reading_kept(network, variant.sparsifiers, variant.biases, transposed):
                stream = decode(network, prompt, tokens)
            if number:
                timed.append(stream.tokens_per_second)
            counter.advance(tokens)
    return rates, max(bandwidths)


def count_kept(
    network: nn.Module,
    variant: Variant,
    transposed: Mapping[str, Tensor],
    prompt: Int[Tensor, "length"],
    tokens: int,
) -> dict[str, float]:
    """Count the share of its inputs that each site keeps, in a stream that is not timed."""
    with (
        counted(variant.sparsifiers) as (sparsifiers, kept),
        reading_kept(network, sparsifiers, variant.biases, transposed),
    ):
        decode(network, prompt, tokens)
    return kept.shares()


def share_of_weights(network: nn.Module, kept: Mapping[str, float]) -> float:
    """Return the share of the sites' weights that are read; 1 without sites."""
    weights = {site: network.get_submodule(site).weight.numel() for site in kept}
    read = sum(kept[site] * weights[site] for site in kept)
    return read / sum(weights.values()) if kept else 1.0


def describe_rates(
    variants: Sequence[Variant],
    rates: Sequence[Sequence[float]],
    counts: Sequence[Mapping[str, float]],
    bandwidth: float,
) -> pd.DataFrame:
    """Return the table of `measure_decoding` from its numbers.

    Args:
        rates: Tokens per second of every variant by round.
        counts: `bytes_per_token` and `kept_share` of every variant.
        bandwidth: Bytes per second.
    """
    rows = []
    teal = {v.place(): r for v, r in zip(variants, rates, strict=True) if not v.biases}
    for variant, timed, count in zip(variants, rates, counts, strict=True):
        rate, size = statistics.median(timed), count["bytes_per_token"]
        found = {
            "tokens_per_second": rate,
            "tokens_per_second_low": min(timed),
            "tokens_per_second_high": max(timed),
            "bandwidth_share": size * rate / bandwidth,
            "bandwidth_gb_per_second": bandwidth / 1e9,
            "speed_up": compare(timed, rates[0]),
            "bound": counts[0]["bytes_per_token"] / size,
            "overhead": compare(teal[variant.place()], timed) - 1 if variant.biases else None,
        }
        rows.append({**variant.names, **count, **found})
    return pd.DataFrame(rows).astype({"seed": "Int64"})


def compare(rates: Sequence[float], others: Sequence[float]) -> float:
    """Return how much faster one is than another, the median over rounds in which both ran."""
    return statistics.median(a / b for a, b in zip(rates, others, strict=True))
