"""How far a loop over tokens is: throughput and time left, told through `logging` every few seconds.

Whoever runs the loop says where it is told; `spon/job.py` does on the screen and in the job's log.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
SECONDS = 10  # between two lines


class Progress:
    """Counts tokens and tells what is left, at most one line every `SECONDS`."""

    def __init__(self, total: int):
        self.total = total
        self.done = 0
        self.started = self.told = time.monotonic()

    def advance(self, tokens: int, note: Callable[[], str] = str) -> None:
        """Count `tokens` as done; `note`, which may wait for a GPU, is called only if a line is due, for its end."""
        self.done += tokens
        now = time.monotonic()
        if self.done >= self.total:
            log.debug(describe_rate(self.done, now - self.started) + note())
        elif now - self.told >= SECONDS:
            self.told = now
            left = (now - self.started) * (self.total - self.done) / self.done
            share = f"{self.done:,} of {self.total:,} tokens, "
            log.info(
                share
                + describe_rate(self.done, now - self.started)
                + f", {describe_time(left)} left"
                + note()
            )


def follow(batches: Sequence["torch.Tensor"]) -> Iterator["torch.Tensor"]:
    """The batches of token ids, one by one, with progress told between them."""
    progress = Progress(sum(batch.numel() for batch in batches))
    for batch in batches:
        yield batch
        progress.advance(batch.numel())


def describe_rate(tokens: int, seconds: float) -> str:
    """Tokens per second, in words.

    >>> describe_rate(5000, 2.0)
    '2,500 tokens/s'
    """
    return f"{tokens / max(seconds, 1e-9):,.0f} tokens/s"


def describe_time(seconds: float) -> str:
    """A time, in the units that one would say.

    >>> [describe_time(seconds) for seconds in (8.0, 185.0, 7380.0)]
    ['8 s', '3 min 05 s', '2 h 03 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return (
        f"{whole // 60} min {whole % 60:02d} s"
        if whole < 3600
        else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    )
