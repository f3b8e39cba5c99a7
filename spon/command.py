"""The command `spon`: what made a file, handing a run on, and trying it out."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from spon.decode import command as decode
from spon.export import command as export
from spon.lineage import command as lineage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code.

    It is 1 if something is not as recorded, and 2 after a user's mistake, which is one sentence.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return options.run(options)
    except BrokenPipeError:  # `spon show … | head`
        sys.stderr.close()
        return 0
    except (ValueError, OSError) as mistake:
        sys.stderr.write(f"spon {options.command}: {mistake}\n")
        return 2


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command and its subcommands."""
    parser = argparse.ArgumentParser(
        prog="spon", description="What made a study's files, and what they are good for elsewhere."
    )
    parser.add_argument("--version", action="version", version=f"spon {version('spon')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(name: str, sentence: str, run: Callable) -> argparse.ArgumentParser:
        whole = f"{sentence[0].upper()}{sentence[1:]}."
        command = commands.add_parser(name, help=sentence, description=whole)
        command.set_defaults(run=run)
        return command

    for room in (lineage, export, decode):
        room.add_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
