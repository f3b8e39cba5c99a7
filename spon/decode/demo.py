"""Decode a paragraph with a run's model, dense and sparse, side by side, and say how fast.

    python -m spon.decode.demo results/STUDY/ALLOCATION/sSPARSITY/seedN

The sparse side is TEAL with the run's biases. Both begin with a few tokens that are not timed.
"""

import argparse
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import zip_longest

import torch
from transformers.utils.logging import disable_progress_bar

from spon.decode.maps import reading_kept
from spon.decode.run import Run, open_run
from spon.decode.stream import Stream, count_bytes, counted, decode

PROMPT = "Return the mean of the values along an axis. Parameters"
WARM_UP = 8  # tokens


def main(arguments: Sequence[str] | None = None) -> str | None:
    """Decode, and return what is wrong, if anything."""
    disable_progress_bar()
    options = read_options(arguments)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    try:
        run = open_run(options.run)
        sys.stdout.write(show(run, options.prompt, options.tokens))
    except ValueError as mistake:
        return f"demo: {mistake}"
    except FileNotFoundError as missing:
        return f"demo: {missing.filename or missing} is missing: the study has to be here"
    return None


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m spon.decode.demo", description=__doc__)
    parser.add_argument("run", help="folder of an evaluated run")
    parser.add_argument("--prompt", default=PROMPT, help="what the model goes on from")
    parser.add_argument("--tokens", type=int, default=64, help="tokens decoded (64)")
    parser.add_argument("--threads", type=int, help="of torch (what it takes by itself)")
    options = parser.parse_args(arguments)
    for name, least in (("tokens", 2), ("threads", 1)):
        if (value := getattr(options, name)) is not None and value < least:
            parser.error(f"--{name} is {value}: allowed is {least} or more")
    return options


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


if __name__ == "__main__":
    sys.exit(main())
