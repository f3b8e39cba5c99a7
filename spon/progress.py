"""Log the progress of a loop over tokens: throughput and time left, every few seconds.

The handlers of `log` decide where the lines go; `spon/job.py` sends them to the screen and to the
job's log.
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
    """A count of tokens done that logs what is left, at most one line every `SECONDS`."""

    def __init__(self, total: int):
        self.total = total
        self.done = 0
        self.started = self.logged = time.monotonic()

    def advance(self, tokens: int, note: Callable[[], str] = str) -> None:
        """Count `tokens` as done, and log a line if one is due.

        Args:
            tokens: How many more tokens are done.
            note: Returns the end of the line. It may wait for a GPU, so it is called only if a
                line is due.
        """
        self.done += tokens
        now = time.monotonic()
        if self.done >= self.total:
            log.debug(describe_rate(self.done, now - self.started) + note())
        elif now - self.logged >= SECONDS:
            self.logged = now
            left = (now - self.started) * (self.total - self.done) / self.done
            share = f"{self.done:,} of {self.total:,} tokens"
            rate = describe_rate(self.done, now - self.started)
            log.info(f"{share}, {rate}, {describe_time(left)} left{note()}")


def follow(batches: Sequence["torch.Tensor"]) -> Iterator["torch.Tensor"]:
    """Yield the batches of token ids one by one, and log the progress between them."""
    progress = Progress(sum(batch.numel() for batch in batches))
    for batch in batches:
        yield batch
        progress.advance(batch.numel())


def describe_rate(tokens: int, seconds: float) -> str:
    """Return tokens per second, in words.

    >>> describe_rate(5000, 2.0)
    '2,500 tokens/s'
    """
    return f"{tokens / max(seconds, 1e-9):,.0f} tokens/s"


def describe_time(seconds: float) -> str:
    """Return a time in words, in the units in which one would say it.

    >>> [describe_time(seconds) for seconds in (8.0, 185.0, 7380.0)]
    ['8 s', '3 min 05 s', '2 h 03 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
