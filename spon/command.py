"""The command `spon`: what made a file, handing a run on, and trying it out."""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import NoReturn

from spon.decode import command as decode
from spon.export import command as export
from spon.lineage import command as lineage

INTRODUCTION = """\
What made a study's files, and what they are good for elsewhere.

A study is run by `snakemake`, and `make pull` fetches one that was published.
Its folders are results/STUDY and figures/STUDY. What made a file is taken from
the records that every job has left there."""
CLOSING = "`spon COMMAND --help` says what a command takes, with examples."


class Help(argparse.RawDescriptionHelpFormatter):
    """The layout of a help text: paragraphs and examples as they are written."""

    def add_usage(self, usage, actions, groups, prefix: str | None = None) -> None:
        """Add the line that says how the command is called."""
        super().add_usage(usage, actions, groups, "Call: " if prefix is None else prefix)


class Parser(argparse.ArgumentParser):
    """A parser whose help and mistakes are in the words of this command.

    `examples` are whole commands, a line each; other settings are those of argparse.
    """

    def __init__(self, examples: str = "", **settings) -> None:
        if examples:
            lines = "".join(f"\n  {line}" for line in examples.splitlines())
            settings["epilog"] = f"Examples:{lines}"
        super().__init__(add_help=False, formatter_class=Help, **settings)
        self._positionals.title, self._optionals.title = "It takes", "Options"
        self.add_argument("-h", "--help", action="help", help="show this text")

    def error(self, message: str) -> NoReturn:
        """End with one sentence."""
        self.exit(2, f"{self.prog}: {message} (`{self.prog} --help`)\n")


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


def build_parser() -> Parser:
    """Build the parser of the command and its subcommands."""
    parser = Parser(prog="spon", description=INTRODUCTION, epilog=CLOSING)
    parser.add_argument(
        "--version", action="version", version=f"spon {version('spon')}", help="show the version"
    )
    commands = parser.add_subparsers(title="Commands", dest="command", metavar="COMMAND")

    def add(name: str, sentence: str, run: Callable, more: str = "", examples: str = "") -> Parser:
        whole = f"{sentence[0].upper()}{sentence[1:]}."
        text = "\n\n".join(filter(None, [whole, more]))
        command = commands.add_parser(name, help=sentence, description=text, examples=examples)
        command.set_defaults(run=run)
        return command

    for room in (lineage, export, decode):
        room.add_commands(add)
    return parser


if __name__ == "__main__":
    sys.exit(main())
