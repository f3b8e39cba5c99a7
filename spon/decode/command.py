"""The subcommand of `spon` that shows what sparsity is for."""

import argparse
import sys
from collections.abc import Callable

FORM = "a run's folder in a study, or one that `spon export --beside` wrote"
DEMO = """\
Dense, the model reads all weights for a token; sparse, those of inputs that are
not zero. It needs a C++ compiler. A model that fits into a cache gains nothing
(docs/decoding.md)."""
EXAMPLES = """\
spon demo results/pydoc/ALL-ALL/s0.5/seed0
spon demo results/pydoc/ALL-ALL/s0.5/seed0 --prompt "Sort the array" --tokens 32"""
PROMPT = "Return the mean of the values along an axis. Parameters"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommand by its name, a sentence, what runs it, and its help.

    Args:
        add: Returns the parser of a subcommand.
    """
    sentence = "decode a paragraph with a run, dense and sparse, side by side, and say how fast"
    command = add("demo", sentence, run_demo, DEMO, EXAMPLES)
    command.add_argument("folder", metavar="RUN", help=FORM)
    command.add_argument(
        "--prompt", metavar="TEXT", default=PROMPT, help="what the model goes on from"
    )
    command.add_argument(
        "--tokens", type=int, metavar="N", default=64, help="how many it decodes; else 64"
    )
    command.add_argument(
        "--threads", type=int, metavar="N", help="threads of torch; else as many as it takes"
    )


def run_demo(options: argparse.Namespace) -> int:
    """Decode both ways.

    Raises:
        ValueError: An option is out of range, or the folder holds no run.
    """
    for name, least in (("tokens", 2), ("threads", 1)):
        if (value := getattr(options, name)) is not None and value < least:
            raise ValueError(f"--{name} is {value}: allowed is {least} or more")
    import torch  # here, since commands about lineage need none of it
    import transformers

    from spon.decode import demo
    from spon.decode.run import open_run

    transformers.logging.disable_progress_bar()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    run = open_run(options.folder, options.prompt, options.tokens)
    sys.stdout.write(demo.show(run, options.prompt, options.tokens))
    return 0
