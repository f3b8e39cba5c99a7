"""The subcommand of `spon` that shows what sparsity is for."""

import argparse
import sys
from collections.abc import Callable

FORM = "a run's folder in a study, or one that `spon export --beside` wrote"
PROMPT = "Return the mean of the values along an axis. Parameters"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands, each by its name, a sentence and what runs it.

    Args:
        add: Returns the parser of a subcommand.
    """
    sentence = "decode a paragraph with a run, dense and sparse, side by side, and say how fast"
    command = add("demo", sentence, run_demo)
    command.add_argument("folder", metavar="RUN", help=FORM)
    command.add_argument("--prompt", default=PROMPT, help="what the model goes on from")
    command.add_argument("--tokens", type=int, default=64, help="tokens decoded (64)")
    command.add_argument("--threads", type=int, help="of torch (what it takes by itself)")


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
