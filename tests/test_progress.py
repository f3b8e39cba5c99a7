import doctest
import logging
from types import SimpleNamespace

import pytest
import torch

from spon import progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def read_log(caplog):
    """A function that returns the level and the text of every line of the log."""
    caplog.set_level(logging.DEBUG, "spon.progress")
    return lambda: [(record.levelname, record.message) for record in caplog.records]


def test_a_line_comes_every_ten_seconds_at_most_with_the_rate_and_the_time_left(clock, read_log):
    counted = progress.Progress(total=1000)
    # 100 tokens in 4 s: lines come at 12, 24 and 36 s, each the first 10 s after the one before.
    for _ in range(10):
        clock.now += 4
        counted.advance(100)
    assert read_log() == [
        ("INFO", "300 of 1,000 tokens, 25 tokens/s, 28 s left"),
        ("INFO", "600 of 1,000 tokens, 25 tokens/s, 16 s left"),
        ("INFO", "900 of 1,000 tokens, 25 tokens/s, 4 s left"),
        ("DEBUG", "25 tokens/s"),
    ]


def test_what_takes_no_ten_seconds_is_told_once_at_its_end_and_not_on_the_screen(clock, read_log):
    counted = progress.Progress(total=60)
    for _ in range(3):
        clock.now += 3
        counted.advance(20)
    assert read_log() == [("DEBUG", "7 tokens/s")]


def test_the_end_of_a_line_is_asked_for_only_when_one_is_due(clock, read_log):
    counted, calls = progress.Progress(total=100), []

    def note():
        calls.append(counted.done)
        return ", KL 0.5"

    for seconds in (9, 1, 9, 1, 1):
        clock.now += seconds
        counted.advance(20, note)
    assert calls == [40, 80, 100]
    assert read_log()[0] == ("INFO", "40 of 100 tokens, 4 tokens/s, 15 s left, KL 0.5")
    assert read_log()[-1] == ("DEBUG", "5 tokens/s, KL 0.5")


def test_all_batches_pass_and_one_counts_when_it_is_done(clock, read_log):
    batches = torch.arange(12).split(5)
    passed = []
    for batch in progress.follow(batches):
        passed.append(batch)
        clock.now += 20
    assert torch.cat(passed).equal(torch.arange(12))
    assert [line.split(" of ")[0] for _, line in read_log()[:-1]] == ["5", "10"]
    assert read_log()[-1] == ("DEBUG", "0 tokens/s")  # 12 in a minute


def test_rates_and_times_read_as_one_would_say_them():
    results = doctest.testmod(progress)
    assert (results.failed, results.attempted) == (0, 2)
    assert [progress.describe_time(seconds) for seconds in (59.4, 59.6, 3599.6)] == [
        "59 s",
        "1 min 00 s",
        "1 h 00 min",
    ]
