"""The sparse product against the dense one, matrix by matrix and sparsity by sparsity."""

from collections.abc import Iterable, Mapping
from itertools import cycle

import pandas as pd
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn.functional import linear

from spon import models
from spon.decode.bandwidth import clock_in_turns
from spon.decode.product import multiply
from spon.sites import name_site
from spon.sparsify import keep_large

# Copies of a matrix are read one after another, so that none is in a cache when its turn comes.
COLD_BYTES = 2**28


def list_matrices(
    network: nn.Module, maps: Iterable[str], further: Iterable[tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    """Return inputs and outputs of matrices, each size once, by the maps that have it.

    Args:
        maps: Of the model's first layer.
        further: Inputs and outputs of other models' maps, which have their sizes as a name.
    """
    assert models.count_layers(network) > 0, "the model has no layer"
    by_size: dict[tuple[int, int], list[str]] = {}
    for name in maps:
        map_ = network.get_submodule(name_site(0, name))
        by_size.setdefault((map_.in_features, map_.out_features), []).append(name)
    for d_in, d_out in further:
        by_size.setdefault((d_in, d_out), []).append(f"{d_in} x {d_out}")
    return {" ".join(names): size for size, names in by_size.items()}


def measure_matrices(
    matrices: Mapping[str, tuple[int, int]], sparsities: Iterable[float], rounds: int
) -> pd.DataFrame:
    """Measure a dense and a sparse product with matrices that have to come from memory.

    Args:
        matrices: By name, inputs and outputs.
        sparsities: Shares of inputs that are set to zero.
        rounds: How often every matrix is read, by each product.

    Returns:
        A row per matrix and sparsity: `matrix, d_in, d_out, mebibytes, sparsity,
        microseconds_dense, microseconds_sparse, speed_up, bound, share_of_bound`. The bound of the
        speed-up is that of the bytes read, 1 / (1 - sparsity).
    """
    rows = []
    for name, (d_in, d_out) in matrices.items():
        size = {"matrix": name, "d_in": d_in, "d_out": d_out, "mebibytes": d_in * d_out / 2**18}
        weight = torch.randn(d_out, d_in, generator=torch.Generator().manual_seed(0))
        copies = max(1, COLD_BYTES // (4 * weight.numel()))
        dense, sparse = repeat(weight, copies), repeat(weight.T.contiguous(), copies)
        for sparsity in sparsities:
            found = measure_product(dense, sparse, float(sparsity), rounds)
            rows.append(size | {"sparsity": float(sparsity)} | found)
    return pd.DataFrame(rows)


def repeat(matrix: Float32[Tensor, "rows columns"], copies: int) -> list[Tensor]:
    """Return copies of a matrix, each in its own memory."""
    return [matrix.clone() for _ in range(copies)]


def measure_product(
    dense: list[Tensor], sparse: list[Tensor], sparsity: float, rounds: int
) -> dict[str, float]:
    """Measure both products with a vector of which a share is set to zero, which is timed too."""
    x = torch.randn(dense[0].shape[1], generator=torch.Generator().manual_seed(1))
    threshold = choose_threshold(x, sparsity)
    # Of each by itself: taking turns with one cycle, both would read but half of the copies.
    of_dense, of_sparse = cycle(dense), cycle(sparse)

    def read_all() -> None:
        linear(x, next(of_dense))

    def read_kept() -> None:
        multiply(keep_large(x, threshold), next(of_sparse))

    with torch.inference_mode():
        calls = {"dense": read_all, "sparse": read_kept}
        times = clock_in_turns(calls, rounds * len(dense))
    microseconds = {name: 1e6 * min(times[name]) for name in times}
    speed_up = microseconds["dense"] / microseconds["sparse"]
    bound = 1 / (1 - sparsity)
    return {
        **{f"microseconds_{name}": value for name, value in microseconds.items()},
        "speed_up": speed_up,
        "bound": bound,
        "share_of_bound": speed_up / bound,
    }


def choose_threshold(x: Float32[Tensor, "d_in"], sparsity: float) -> float:
    """Return the threshold that sets a share of these entries to zero, to a whole entry."""
    dropped = round(sparsity * len(x))
    return float(x.abs().sort().values[dropped - 1]) if dropped else 0.0
