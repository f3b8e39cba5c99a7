"""Decode a paragraph with a run's model, dense and sparse, side by side, and say how fast.

The sparse side is TEAL with the run's biases. Both begin with a few tokens that are not timed.
"""

import shutil
import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from spon.decode.maps import reading_kept, transpose_weights
from spon.decode.measure import Variant, count_kept
from spon.decode.run import Run, read_prompt
from spon.decode.stream import Stream, count_bytes, decode

WARM_UP = 8  # tokens
SMALL = 32e6  # bytes of weights that caches of today hold


def show(run: Run, prompt: str, tokens: int) -> str:
    """Decode both ways, and return the text of both in two columns."""
    ids = read_prompt(run.tokenizer, prompt)
    network, transposed = run.network, transpose_weights(run.network, run.sparsifiers)
    streams, sizes = [], []
    for variant in (Variant({}), Variant({}, run.sparsifiers, run.biases)):
        with reading_kept(network, variant.sparsifiers, variant.biases, transposed):
            decode(network, ids, min(WARM_UP, tokens))
            streams.append(decode(network, ids, tokens))
        kept = count_kept(network, variant, transposed, ids, tokens)
        sizes.append(count_bytes(network, kept, variant.biases))
    names = run.names
    titles = [
        "dense",
        f"{names['allocation']}, {names['scope']} at {names['sparsity']:.0%} with biases",
    ]
    columns = [
        describe(title, stream, size / 1e6) + wrap(run, stream)
        for title, stream, size in zip(titles, streams, sizes, strict=True)
    ]
    speed_up = streams[1].tokens_per_second / streams[0].tokens_per_second
    bound = sizes[0] / sizes[1]
    end = f"{speed_up:.2f} times as fast; the weights read allow {bound:.2f} times\n"
    if sizes[0] < SMALL:
        end += (
            "These weights fit into a cache, so reading them takes no time that could be saved: "
            "docs/decoding.md\n"
        )
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
