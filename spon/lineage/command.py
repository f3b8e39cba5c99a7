"""Subcommands of `spon` about lineage.

They show what made a file, explain why a file differs between commits, verify a study, write it as
a crate, and publish it.
"""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

from spon.lineage import crate, find, folder, publish, records, show, verify, why
from spon.lineage.screen import write, write_pages

WORKING_TREE = "the working tree"
SHOW = """\
FILE is in results/ or figures/, or a copy that was sent around: figures, biases,
pages and parquet files say which job made them. Shown are that job, its settings
and its code, and the same for every file that it read, down to model and text. A
folder is shown as the jobs that made its files. Digests (SHA-256) are cut to
their first digits; --json has them whole. What the terminal cannot hold goes
through $PAGER, else less."""
SHOW_EXAMPLES = """\
spon show figures/pydoc/fig1_perplexity.png
spon show results/pydoc/UNIF-ALL/s0.5/seed0
spon show --depth 1 results/pydoc/findings.md
spon show --clone ../spon mailed.png"""
WHY = """\
Compared are settings, code, text, model and packages of the jobs behind the
file, as the records of two commits have them. Nothing is checked out or run."""
WHY_EXAMPLES = """\
spon why results/pydoc/tables/perplexity.csv HEAD~1..HEAD
spon why figures/pydoc/fig1_perplexity.png HEAD.."""
VERIFY = """\
The exit code is 1 if something is not as recorded. `dvc checkout FILE` brings
back what was published, and `snakemake --force FILE` makes a file again."""
CRATE = """\
A crate (RO-Crate) is a folder with the files, and with a description of them
that other tools read."""
PUBLISH = """\
It needs a dvc.yaml beside the results (docs/publishing.md), and hands over
nothing unless all is as recorded. What is left is `git add` and `git commit`."""


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands, each by its name, a sentence, what runs it, and its help.

    Args:
        add: Returns the parser of a subcommand.
    """
    sentence = "say what made a file, or the files in a folder"
    add_show_arguments(add("show", sentence, run_show, SHOW, SHOW_EXAMPLES))
    sentence = "say what made a file differ between two commits"
    command = add("why", sentence, run_why, WHY, WHY_EXAMPLES)
    add_clone(command)
    command.add_argument("file", type=Path, metavar="FILE", help="a result or a figure")
    command.add_argument(
        "range", metavar="A..B", help="two commits; A.. compares A with the files here"
    )
    sentence = "hash every file again, and name what is damaged and all that stands on it"
    command = add("verify", sentence, run_verify, VERIFY, "spon verify\nspon verify pydoc")
    add_clone(command)
    command.add_argument("study", nargs="?", metavar="STUDY", help="one study; else all")
    sentence = "write a study, with what made each file, as a Provenance Run Crate"
    examples = "spon crate pydoc\nspon crate pydoc --to ../crate"
    command = add("crate", sentence, run_crate, CRATE, examples)
    add_clone(command)
    command.add_argument("study", metavar="STUDY", help="the study, such as pydoc")
    command.add_argument(
        "--to", type=Path, metavar="DIR", help="the crate's folder; else crates/STUDY of the clone"
    )
    sentence = "verify everything, hand it to DVC, push it, and say what is new"
    add_clone(add("publish", sentence, run_publish, PUBLISH, "spon publish"))


def add_clone(command: argparse.ArgumentParser) -> None:
    """Add the option that names a clone."""
    command.add_argument(
        "--clone",
        type=Path,
        metavar="DIR",
        help="the clone, or the folder of a study, that has the records; else the one around you",
    )


def add_show_arguments(command: argparse.ArgumentParser) -> None:
    """Add what `spon show` takes."""
    add_clone(command)
    command.add_argument(
        "file", type=Path, metavar="FILE", help="a result, a figure, a copy of one, or a folder"
    )
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, with whole digests")
    form.add_argument(
        "--mermaid", action="store_true", help="as a Mermaid flowchart of the rules behind a file"
    )
    command.add_argument("--depth", type=int, metavar="N", help="no more than N jobs deep")
    command.add_argument(
        "--all", action="store_true", help="fold nothing, and with --mermaid every single job"
    )


def run_show(options: argparse.Namespace) -> int:
    """Print what made a file, or the files in a folder."""
    root = find.find_clone(options.file, options.clone)
    width = shutil.get_terminal_size((120, 24)).columns
    shown = find_folder(options, root)
    if shown:
        text = folder.to_json(shown) if options.json else folder.print_folder(shown, width)
        write_pages(text)
        return 0
    artifact = find.find_record(options.file, root)
    if options.json:
        write_pages(show.to_json(artifact))
    elif options.mermaid:
        write_pages(show.to_mermaid(artifact, options.all))
    else:
        write_pages(show.print_tree(artifact, options.depth, options.all, width))
    return 0


def find_folder(options: argparse.Namespace, root: Path) -> folder.Folder | None:
    """Find the folder that is asked for, if it is one.

    Raises:
        ValueError: It is, and an option is of files alone.
    """
    file = options.file.resolve() if options.file.name in ("", "..") else options.file
    path = find.locate(file, root)
    if (root / path).is_file():
        return None
    known = records.read_records(root)
    if not folder.is_folder(path, root, known):
        return None
    for name in ("mermaid", "depth"):
        if getattr(options, name) not in (None, False):
            raise ValueError(f"--{name} is of a file, and {options.file} is a folder")
    return folder.Folder(path, root, known, options.all)


def run_why(options: argparse.Namespace) -> int:
    """Print what made a file differ between two commits."""
    first, _, second = options.range.partition("..")
    if not first or second.startswith("."):
        raise ValueError(f"'{options.range}' is no range: name two commits as A..B, or one as A..")
    root = find.find_clone(options.file, options.clone)
    old = records.read_commit(root, first)
    new = records.read_commit(root, second) if second else records.read_records(root)
    names = (first, second or WORKING_TREE)
    for version, name in zip((old, new), names, strict=True):
        if not version.by_file:
            raise ValueError(f"{name} has no lineage records: name a commit that published some")
    path = find.locate(options.file, root)
    if path not in old.makers and path not in new.makers and options.file.is_file():
        path = find.find_record(options.file, root).path
    write_pages(why.explain(path, old, new, names))
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Hash every file again, and return 1 if something is not as recorded."""
    root = find.find_clone(Path(), options.clone)
    study = options.study and Path(options.study).name  # `results/STUDY` means it too
    report = verify.verify(root, records.read_records(root), study)
    write_pages(verify.describe_report(report))
    return 0 if report.sound else 1


def run_crate(options: argparse.Namespace) -> int:
    """Write a study as a crate."""
    root = find.find_clone(Path(), options.clone)
    to = options.to or root / "crates" / options.study
    jobs, files = crate.write_crate(root, options.study, to)
    write(f"{to}: a crate of {jobs} jobs and {files} files\n")
    return 0


def run_publish(options: argparse.Namespace) -> int:
    """Hand a sound study to DVC, or return 1 if something is not as recorded."""
    return 0 if publish.publish(find.find_clone(Path(), options.clone), write) else 1
