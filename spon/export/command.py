"""Subcommands of `spon` that hand a run on, and take one in."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from spon.memory import SIZES
from spon.methods.names import SPARSIFIERS

FORM = "a run's folder, such as results/pydoc/UNIF-ALL/s0.5/seed0"
GGUF = ".gguf"
EXPORT = """\
A run is what one training gave: biases, and the thresholds that they were learned
behind. A study has evaluated it, here or where it was published (`make pull`). A
folder is an ordinary checkpoint, a file that ends in .gguf is for llama.cpp; what
was written is compared with the run before it is kept."""
EXPORT_EXAMPLES = """\
spon export results/pydoc/UNIF-ALL/s0.5/seed0 exported
spon export results/pydoc/UNIF-ALL/s0.5/seed0 exported.gguf
spon export results/pydoc/UNIF-ALL/s0.5/seed0 beside --beside"""
IMPORT = """\
FILE is called [spon_]ALLOCATION_sSPARSITY[_seedN], and no code that it may hold
is run. Sparsified are the maps that have a bias, in all of the model's layers."""
IMPORT_EXAMPLES = "spon import spon_TOP-50_s0.50.pt taken --layers 16 --method topk"
CATALOGUE = Path(__file__).parents[2] / "resources/shapes.yaml"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands, each by its name, a sentence, what runs it, and its help.

    Args:
        add: Returns the parser of a subcommand.
    """
    sentence = "write a run for use elsewhere: a model with its biases in it, for transformers"
    command = add("export", sentence, run_export, EXPORT, EXPORT_EXAMPLES)
    command.add_argument("folder", type=Path, metavar="RUN", help=FORM)
    command.add_argument(
        "to", type=Path, metavar="DIR", help="a new folder; or FILE.gguf, for llama.cpp"
    )
    command.add_argument(
        "--dtype", choices=SIZES, help="precision of the weights; else that of the study"
    )
    command.add_argument(
        "--beside",
        action="store_true",
        help="without the model: biases, thresholds and card, for spon.attach(model, DIR)",
    )
    command.add_argument(
        "--license",
        metavar="NAME",
        help="licence of the base model, such as apache-2.0, where its files do not say it",
    )
    sentence = "take in biases that were learned elsewhere, for spon.attach(model, DIR)"
    command = add("import", sentence, run_import, IMPORT, IMPORT_EXAMPLES)
    command.add_argument("file", type=Path, metavar="FILE", help="a .pt or .safetensors of biases")
    command.add_argument("to", type=Path, metavar="DIR", help="a new folder")
    command.add_argument(
        "--layers", type=int, metavar="N", required=True, help="how many the model has"
    )
    command.add_argument(
        "--method",
        choices=SPARSIFIERS,
        required=True,
        help="how inputs were sparsified (docs/method.md)",
    )
    command.add_argument(
        "--thresholds",
        type=Path,
        metavar="CSV",
        help="a table of site and threshold, which all methods but topk need",
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
