"""Ways to multiply a matrix with a sparse vector on a CPU, against torch's dense product.

    python -m bench.decoding [D_INxD_OUT ...]      writes results/decoding.csv

Ways: `dense`, which reads all; `embedding_bag`, torch's weighted sum of rows; `tiled_bag`, the
same in tiles of 64 outputs, whose kept weights lie closer together; `index_select`, which copies
the kept rows and multiplies; `numba`, if it is installed; and `product`, spon.decode.product, the
one that is kept. All but the first begin by setting small inputs to zero, and find what is left.
The ways take turns, and of each the fastest call counts, as what else runs here only adds.
Each has copies of the matrix for itself and reads one after another, so that they come from memory
and not from a cache: a quarter of a GiB for each way. Threads are torch's (OMP_NUM_THREADS).
"""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, linear

from spon.decode.bandwidth import clock_in_turns, measure_bandwidth
from spon.decode.matrices import COLD_BYTES, choose_threshold, repeat
from spon.decode.product import multiply
from spon.sparsify import keep_large

RESULTS = Path(__file__).parent / "results/decoding.csv"
# SmolLM2-135M's maps, and three of larger models.
SHAPES = ["576x192", "576x1536", "1536x576", "8192x2048", "2048x8192", "4096x14336"]
SPARSITIES = [0.0, 0.25, 0.4, 0.5, 0.6, 0.8]
TILE, ROUNDS = 64, 15


def find_kept(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of entries that are not zero, and the entries."""
    places = x.nonzero().squeeze(1)
    return places, x[places]


def use_bag(x: Tensor, transposed: Tensor) -> Tensor:
    """Sum the kept rows as one bag."""
    places, kept = find_kept(x)
    return embedding_bag(places[None], transposed, mode="sum", per_sample_weights=kept[None])[0]


def use_tiles(x: Tensor, transposed: Tensor) -> Tensor:
    """Sum the kept rows as a bag for each tile of outputs, one tile's rows behind another's."""
    places, kept = find_kept(x)
    tiles = len(transposed) // len(x)
    rows = places + len(x) * torch.arange(tiles)[:, None]
    weights = kept.expand(tiles, -1).contiguous()
    return embedding_bag(rows, transposed, mode="sum", per_sample_weights=weights).flatten()


def use_selection(x: Tensor, transposed: Tensor) -> Tensor:
    """Copy the kept rows, and multiply."""
    places, kept = find_kept(x)
    return kept @ transposed.index_select(0, places)


def compile_numba() -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loops of spon.decode.product on one thread, compiled by numba."""
    from numba import njit

    @njit(fastmath=True)
    def add_rows(x: np.ndarray, weights: np.ndarray, sums: np.ndarray) -> None:
        kept = np.flatnonzero(x)
        whole = len(kept) // 4 * 4
        for row in range(0, whole, 4):
            a, b, c, d = kept[row], kept[row + 1], kept[row + 2], kept[row + 3]
            rows_a, rows_b, rows_c, rows_d = weights[a], weights[b], weights[c], weights[d]
            for out in range(len(sums)):
                sums[out] += (
                    x[a] * rows_a[out]
                    + x[b] * rows_b[out]
                    + x[c] * rows_c[out]
                    + x[d] * rows_d[out]
                )
        for row in range(whole, len(kept)):
            rows_a = weights[kept[row]]
            for out in range(len(sums)):
                sums[out] += x[kept[row]] * rows_a[out]

    def use(x: Tensor, transposed: Tensor) -> Tensor:
        sums = torch.zeros(transposed.shape[1])
        add_rows(x.numpy(), transposed.numpy(), sums.numpy())
        return sums

    return use


def measure(d_in: int, d_out: int) -> list[dict]:
    """Measure every way with one size of matrix at every sparsity."""
    weight = torch.randn(d_out, d_in)
    rows = weight.T.contiguous()
    tiles = rows.view(d_in, -1, TILE).transpose(0, 1).reshape(-1, TILE).contiguous()
    ways = {"dense": (None, weight), "embedding_bag": (use_bag, rows)}
    ways |= {"tiled_bag": (use_tiles, tiles), "index_select": (use_selection, rows)}
    if find_spec("numba"):
        ways["numba"] = (compile_numba(), rows)
    ways["product"] = (multiply, rows)
    copies = max(1, COLD_BYTES // (4 * weight.numel()))
    ways = {name: (way, repeat(matrix, copies)) for name, (way, matrix) in ways.items()}
    x = torch.randn(d_in)
    return [found for sparsity in SPARSITIES for found in compare(ways, x, sparsity)]


def compare(ways: dict[str, tuple], x: Tensor, sparsity: float) -> list[dict]:
    """Measure every way at one sparsity, and check that all say the same."""
    threshold = choose_threshold(x, sparsity)

    def prepare(way: Callable | None, copies: list[Tensor]) -> Callable[[], Tensor]:
        turns = cycle(copies)
        if way is None:
            return lambda: linear(x, next(turns))
        return lambda: way(keep_large(x, threshold), next(turns))

    calls = {name: prepare(*way) for name, way in ways.items()}
    expected = linear(keep_large(x, threshold), ways["dense"][1][0])
    for name in ways.keys() - {"dense"}:
        torch.testing.assert_close(calls[name](), expected, rtol=0, atol=1e-2)
    copies = len(ways["dense"][1])
    seconds = clock_in_turns(calls, max(ROUNDS, min(ROUNDS * copies, 200)))
    fastest = {name: min(times) for name, times in seconds.items()}
    shape = {"d_in": len(x), "d_out": len(expected), "sparsity": sparsity}
    return [
        shape
        | {
            "way": name,
            "microseconds": 1e6 * time,
            "speed_up": fastest["dense"] / time,
            "bound": 1 / (1 - sparsity),
        }
        for name, time in fastest.items()
    ]


def main() -> None:
    """Measure and write the table."""
    torch.manual_seed(0)
    rows = []
    with torch.inference_mode():
        bandwidth = measure_bandwidth() / 1e9
        for shape in sys.argv[1:] or SHAPES:
            rows += measure(*map(int, shape.split("x")))
    table = pd.DataFrame(rows).assign(
        threads=torch.get_num_threads(), bandwidth_gb_per_second=bandwidth
    )
    table.round(4).to_csv(RESULTS, index=False)
    sys.stdout.write(
        table.pivot_table("speed_up", ["d_in", "d_out", "sparsity"], "way").to_string() + "\n"
    )


if __name__ == "__main__":
    main()
