"""How fast this machine's memory is read, and the clock of all that is compared with it."""

import time
from collections.abc import Callable, Mapping

import torch

from spon.decode.product import multiply

# ASSUME: half a GiB is far larger than a last-level cache, which has tens of MiB on most machines.
BUFFER_BYTES = 2**29
WIDTH = 4096  # of the buffer as a matrix


def measure_bandwidth(rounds: int = 5) -> float:
    """Return the bytes per second at which a buffer is read that no cache holds.

    The buffer is a matrix, read by torch's product with a vector and by ours with nothing left
    out. The fastest read of both counts, since no slower one is what the memory gives.

    Args:
        rounds: Reads by each of them.
    """
    matrix = torch.ones(BUFFER_BYTES // (4 * WIDTH), WIDTH)
    columns, rows = torch.ones(WIDTH), torch.ones(len(matrix))
    reads = {"torch": lambda: matrix @ columns, "ours": lambda: multiply(rows, matrix)}
    seconds = clock_in_turns(reads, rounds)
    return BUFFER_BYTES / min(min(times) for times in seconds.values())


def clock_in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Measure the seconds of several calls, in turns, so that a drift of the speed meets them all.

    Every call is made once before, without being timed.
    """
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds
