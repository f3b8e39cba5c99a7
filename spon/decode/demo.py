"""Decode a paragraph with a run's model, dense and sparse, side by side, and say how fast.

The sparse side is TEAL with the run's biases. Both begin with a few tokens that are not timed.
"""

import shutil
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from statistics import median

from spon.decode.maps import reading_kept, transpose_weights
from spon.decode.measure import Variant, count_kept
from spon.decode.run import Run, read_prompt
from spon.decode.stream import Stream, count_bytes, decode

WARM_UP = 8  # tokens
ROUNDS = 3  # in which both decode in turn
SMALL = 32e6  # bytes of weights that caches of today hold


def show(run: Run, prompt: str, tokens: int) -> str:
    """Decode both ways, and return the text of both in two columns."""
    ids = read_prompt(run.tokenizer, prompt)
    network, transposed = run.network, transpose_weights(run.network, run.sparsifiers)
    variants = (Variant({}), Variant({}, run.sparsifiers, run.biases))
    rounds: list[list[Stream]] = []
    for length in (min(WARM_UP, tokens), *[tokens] * ROUNDS):
        rounds.append([])
        for variant in variants:
            with reading_kept(network, variant.sparsifiers, variant.biases, transposed):
                rounds[-1].append(decode(network, ids, length))
    sizes = [
        count_bytes(network, count_kept(network, variant, transposed, ids, tokens), variant.biases)
        for variant in variants
    ]
    timed = rounds[1:]
    names = run.names
    titles = [
        "dense",
        f"{names['allocation']}, {names['scope']} at {names['sparsity']:.0%} with biases",
    ]
    columns = [
        describe(title, streams, size / 1e6) + wrap(run, streams[0])
        for title, streams, size in zip(titles, zip(*timed, strict=True), sizes, strict=True)
    ]
    ratios = [sparse.tokens_per_second / dense.tokens_per_second for dense, sparse in timed]
    end = (
        f"{median(ratios):.2f} times as fast (in {ROUNDS} rounds {min(ratios):.2f} to "
        f"{max(ratios):.2f}); the weights read allow {sizes[0] / sizes[1]:.2f} times\n"
    )
    if sizes[0] < SMALL:
        end += (
            "These weights fit into a cache, so reading them takes no time that could be saved, "
            "and the ratio is that of two ways to call: docs/decoding.md\n"
        )
    return f"{prompt} …\n\n{set_side_by_side(*columns)}\n{end}"


def describe(title: str, streams: Sequence[Stream], megabytes: float) -> list[str]:
    """Return what stands above a column; the rate is that of the median round."""
    speed = median(stream.tokens_per_second for stream in streams)
    rate = f"{speed:.1f} tokens/s, {megabytes:.4g} MB of weights per token"
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
