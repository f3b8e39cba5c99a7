"""Decode a paragraph with a run's model, dense and sparse, side by side, and say how fast.

The sparse side is TEAL with the run's biases. Both begin with a few tokens that are not timed.
"""

import shutil
import textwrap
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import zip_longest

import torch

from spon.decode.maps import reading_kept
from spon.decode.run import Run
from spon.decode.stream import Stream, count_bytes, counted, decode

WARM_UP = 8  # tokens


def show(run: Run, prompt: str, tokens: int) -> str:
    """Decode both ways, and return the text of both in two columns."""
    ids = torch.tensor(run.tokenizer(prompt)["input_ids"])
    if not len(ids):
        raise ValueError("--prompt is empty, and the model goes on from at least one token")
    with counted(run.sparsifiers) as (sparsifiers, kept), reading_kept(run.network, sparsifiers):
        decode(run.network, ids, WARM_UP)
    full = count_bytes(run.network)
    read = count_bytes(run.network, kept.shares(), run.biases)
    streams = []
    for context in (nullcontext(), reading_kept(run.network, run.sparsifiers, run.biases)):
        with context:
            decode(run.network, ids, WARM_UP)
            streams.append(decode(run.network, ids, tokens))
    names = run.names
    titles = [
        "dense",
        f"{names['allocation']}, {names['scope']} at {names['sparsity']:.0%} with biases",
    ]
    columns = [
        describe(title, stream, size / 1e6) + wrap(run, stream)
        for title, stream, size in zip(titles, streams, (full, read), strict=True)
    ]
    speed_up = streams[1].tokens_per_second / streams[0].tokens_per_second
    end = f"{speed_up:.2f} times as fast; the weights read allow {full / read:.2f} times\n"
    return f"{prompt} …\n\n{set_side_by_side(*columns)}\n{end}"


def describe(title: str, stream: Stream, megabytes: float) -> list[str]:
    """Return what stands above a column."""
    rate = f"{stream.tokens_per_second:.1f} tokens/s, {megabytes:.4g} MB of weights per token"
    return [title, rate, ""]


def wrap(run: Run, stream: Stream) -> list[str]:
    """Return the decoded text in lines of half the terminal's width."""
    text = run.tokenizer.decode(stream.tokens, skip_special_tokens=True)
    lines = [textwrap.wrap(line, width_of_column()) or [""] for line in text.splitlines()]
    return [part for line in lines for part in line]


def width_of_column() -> int:
    """Return the width of one of two columns on this terminal."""
    return max(20, (shutil.get_terminal_size().columns - 3) // 2)


def set_side_by_side(left: Sequence[str], right: Sequence[str]) -> str:
    """Return two columns as lines of text."""
    width = max(width_of_column(), *map(len, left))
    lines = [f"{a:<{width}} | {b}".rstrip() for a, b in zip_longest(left, right, fillvalue="")]
    return "\n".join(lines) + "\n"
