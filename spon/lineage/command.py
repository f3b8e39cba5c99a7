"""Subcommands of `spon` about lineage.

They show what made a file, explain why a file differs between commits, verify a study, write it as
a crate, and publish it.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from spon.lineage import crate, find, publish, records, show, verify, why

WORKING_TREE = "the working tree"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the subcommands, each by its name, a sentence and what runs it.

    Args:
        add: Returns the parser of a subcommand.
    """
    sentences = {
        "show": "say what made a file: jobs, settings, code, text and model behind it",
        "why": "say what made a file differ between two commits",
        "verify": "hash every file again, and name what is damaged and all that stands on it",
        "crate": "write a study, with what made each file, as a Provenance Run Crate",
        "publish": "verify everything, hand it to DVC, push it, and say what is new",
    }
    runs = {
        "show": run_show,
        "why": run_why,
        "verify": run_verify,
        "crate": run_crate,
        "publish": run_publish,
    }
    for name, sentence in sentences.items():
        command = add(name, sentence, runs[name])
        command.add_argument(
            "--clone", type=Path, metavar="DIR", help="the clone to ask; else the one around you"
        )
        add_arguments(command, name)


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of one subcommand."""
    if name in ("show", "why"):
        command.add_argument(
            "file", type=Path, metavar="FILE", help="a result, a figure, or a copy of one"
        )
    if name == "show":
        form = command.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="as JSON, with full digests")
        form.add_argument("--mermaid", action="store_true", help="as a Mermaid flowchart of rules")
        command.add_argument("--depth", type=int, metavar="N", help="no more than N jobs deep")
        command.add_argument(
            "--all", action="store_true", help="fold nothing, and with --mermaid every single job"
        )
    if name == "why":
        command.add_argument(
            "range", metavar="A..B", help="two commits; A.. compares A with the working tree"
        )
    if name == "crate":
        command.add_argument("study", metavar="STUDY", help="the study")
        command.add_argument(
            "--to",
            type=Path,
            metavar="DIR",
            help="the crate's folder; else crates/STUDY of the clone",
        )
    if name == "verify":
        command.add_argument("study", nargs="?", metavar="STUDY", help="one study; else all")


def run_show(options: argparse.Namespace) -> int:
    """Print what made a file."""
    artifact = find.find_record(options.file, find.find_clone(options.file, options.clone))
    if options.json:
        write(show.to_json(artifact))
    elif options.mermaid:
        write(show.to_mermaid(artifact, options.all))
    else:
        width = shutil.get_terminal_size((120, 24)).columns
        write(show.print_tree(artifact, options.depth, options.all, width))
    return 0


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
    write(why.explain(path, old, new, names))
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Hash every file again, and return 1 if something is not as recorded."""
    root = find.find_clone(Path(), options.clone)
    study = options.study and Path(options.study).name  # `results/STUDY` means it too
    report = verify.verify(root, records.read_records(root), study)
    write(verify.describe_report(report))
    return 0 if report.sound else 1


def run_crate(options: argparse.Namespace) -> int:
    """Write a study as a crate."""
    root = find.find_clone(Path(), options.clone)
    folder = options.to or root / "crates" / options.study
    jobs, files = crate.write_crate(root, options.study, folder)
    write(f"{folder}: a crate of {jobs} jobs and {files} files\n")
    return 0


def run_publish(options: argparse.Namespace) -> int:
    """Hand a sound study to DVC, or return 1 if something is not as recorded."""
    return 0 if publish.publish(find.find_clone(Path(), options.clone), write) else 1


def write(text: str) -> None:
    """Write text to the screen at once."""
    sys.stdout.write(text)
    sys.stdout.flush()
