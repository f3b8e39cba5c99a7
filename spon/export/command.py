"""Subcommands of `spon` that hand a run on, and take one in."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from spon.memory import SIZES
from spon.methods.names import SPARSIFIERS

FORM = "a run's folder, such as results/pydoc/UNIF-ALL/s0.5/seed0"
GGUF = ".gguf"
CATALOGUE = Path(__file__).parents[2] / "resources/shapes.yaml"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands, each by its name, a sentence and what runs it.

    Args:
        add: Returns the parser of a subcommand.
    """
    sentence = "write a run for use elsewhere: a model with its biases in it, for transformers"
    command = add("export", sentence, run_export)
    command.add_argument("folder", type=Path, metavar="RUN", help=FORM)
    command.add_argument(
        "to", type=Path, metavar="DIR", help="a new folder; or FILE.gguf, for llama.cpp"
    )
    command.add_argument("--dtype", choices=SIZES, help="of the weights; else that of the study")
    command.add_argument(
        "--beside",
        action="store_true",
        help="without the model: biases, thresholds and card, for spon.attach(model, DIR)",
    )
    command.add_argument(
        "--license",
        metavar="NAME",
        help="of the base model, as apache-2.0; without one that is known, the card says so",
    )
    sentence = "take in biases that were learned elsewhere, for spon.attach(model, DIR)"
    command = add("import", sentence, run_import)
    command.add_argument("file", type=Path, metavar="FILE", help="a .pt or .safetensors of biases")
    command.add_argument("to", type=Path, metavar="DIR", help="a new folder")
    command.add_argument("--layers", type=int, required=True, help="how many the model has")
    command.add_argument(
        "--method", choices=SPARSIFIERS, required=True, help="how inputs were sparsified"
    )
    command.add_argument(
        "--thresholds",
        type=Path,
        metavar="CSV",
        help="site, threshold; not with topk",
    )


def run_export(options: argparse.Namespace) -> int:
    """Hand a run on in the form that is asked for, and say how far it is from the run."""
    import transformers  # here, as torch, since commands about lineage need neither

    from spon.export import gguf, write
    from spon.export.attach import locate_model
    from spon.export.card import find_licence
    from spon.export.run import find_tokens, read_run

    transformers.logging.disable_progress_bar()
    run, to = read_run(options.folder), options.to
    if options.beside and (options.dtype or to.suffix == GGUF):
        raise ValueError("--beside writes no model: leave out --dtype, and name a folder as DIR")
    if to.suffix == GGUF:
        gguf.check_file(run, to)
    else:
        write.check_new(to)
    sys.stderr.write("reading the model, writing, and comparing what was written\n")
    dtype, text = options.dtype or run.dtype, find_tokens(options.folder)
    licence = options.license or find_licence(run.model["source"], locate_model(run), CATALOGUE)
    if to.suffix == GGUF:
        said = gguf.export_gguf(run, to, dtype, text, licence)
    elif options.beside:
        write.export_beside(run, to, licence)
        said = f"biases, thresholds and card, for spon.attach(model, '{to}')"
    else:
        said = write.export_model(run, to, dtype, text, licence).describe()
    say(f"{to}: {said}")
    return 0


def run_import(options: argparse.Namespace) -> int:
    """Take biases in."""
    from spon.export import take

    run = take.read_checkpoint(options.file, options.layers, options.method, options.thresholds)
    say(take.write_taken(run, options.to))
    return 0


def say(sentence: str) -> None:
    """Write a sentence to the screen."""
    sys.stdout.write(f"{sentence}\n")
