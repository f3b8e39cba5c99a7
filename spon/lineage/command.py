"""The command `spon`: what made a file, why it differs between commits, whether all is sound; and to publish it."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from spon.lineage import crate, find, publish, records, show, verify, why

WORKING_TREE = "the working tree"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; a mistake is one sentence and exit code 2, a finding exit code 1."""
    chosen = build_parser().parse_args(arguments)
    try:
        return chosen.run(chosen)
    except BrokenPipeError:  # `spon show … | head`
        sys.stderr.close()
        return 0
    except (ValueError, OSError) as mistake:
        sys.stderr.write(f"spon {chosen.command}: {mistake}\n")
        return 2


def build_parser() -> argparse.ArgumentParser:
    """What may be asked, and how."""
    parser = argparse.ArgumentParser(prog="spon", description="Lineage of a study's files.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
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
        command = commands.add_parser(name, help=sentence, description=sentence.capitalize() + ".")
        command.set_defaults(run=runs[name])
        command.add_argument(
            "--clone", type=Path, metavar="DIR", help="the clone to ask; else the one around you"
        )
        add_arguments(command, name)
    return parser


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    """The arguments of one subcommand."""
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


def run_show(chosen: argparse.Namespace) -> int:
    """Say what made a file."""
    found = find.find_record(chosen.file, find.find_clone(chosen.file, chosen.clone))
    if chosen.json:
        tell(show.to_json(found))
    elif chosen.mermaid:
        tell(show.to_mermaid(found, chosen.all))
    else:
        tell(
            show.print_tree(
                found, chosen.depth, chosen.all, shutil.get_terminal_size((120, 24)).columns
            )
        )
    return 0


def run_why(chosen: argparse.Namespace) -> int:
    """Say what made a file differ between two commits."""
    first, _, second = chosen.range.partition("..")
    if not first or second.startswith("."):
        raise ValueError(f"'{chosen.range}' is no range: name two commits as A..B, or one as A..")
    root = find.find_clone(chosen.file, chosen.clone)
    old = records.read_commit(root, first)
    new = records.read_commit(root, second) if second else records.read_records(root)
    names = (first, second or WORKING_TREE)
    for side, name in zip((old, new), names, strict=True):
        if not side.by_file:
            raise ValueError(f"{name} has no lineage records: name a commit that published some")
    path = find.locate(chosen.file, root)
    if path not in old.makers and path not in new.makers and chosen.file.is_file():
        path = find.find_record(chosen.file, root).path
    tell(why.explain(path, old, new, names))
    return 0


def run_verify(chosen: argparse.Namespace) -> int:
    """Hash every file again; exit code 1 if something is not as recorded."""
    root = find.find_clone(Path(), chosen.clone)
    report = verify.verify(root, records.read_records(root), chosen.study)
    tell(verify.describe_report(report))
    return 0 if report.sound else 1


def run_crate(chosen: argparse.Namespace) -> int:
    """Write a study as a crate."""
    root = find.find_clone(Path(), chosen.clone)
    folder = chosen.to or root / "crates" / chosen.study
    jobs, files = crate.write_crate(root, chosen.study, folder)
    tell(f"{folder}: a crate of {jobs} jobs and {files} files\n")
    return 0


def run_publish(chosen: argparse.Namespace) -> int:
    """Hand a sound study to DVC; exit code 1 if something is not as recorded."""
    return 0 if publish.publish(find.find_clone(Path(), chosen.clone), tell) else 1


def tell(text: str) -> None:
    """Write to the screen."""
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
