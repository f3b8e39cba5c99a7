"""The command `spon` as a whole."""

import shlex
import subprocess
import sys

import pytest

from spon.command import build_parser, main

COMMANDS = ("show", "why", "verify", "crate", "publish", "export", "import", "demo")


def test_it_starts_without_torch():
    code = "import sys, spon.command; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_it_lists_what_it_can_do(capsys):
    assert main([]) == 2
    listed = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n    {name} " in listed


def read_help(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_is_in_our_words_and_ends_with_examples_that_it_takes(name, capsys):
    text = read_help(capsys, name)
    assert text.startswith(f"Call: spon {name} ")
    for word in ("usage", "positional arguments", "this help message"):
        assert word not in text
    examples = text.split("\nExamples:\n")[1].splitlines()
    for example in examples:
        called, *arguments = shlex.split(example)
        assert (called, arguments[0]) == ("spon", name)
        build_parser().parse_args(arguments)


def test_the_help_fits_a_terminal_of_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "84")
    pages = [read_help(capsys), *(read_help(capsys, name) for name in COMMANDS)]
    assert max(len(line) for page in pages for line in page.splitlines()) <= 82


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["shw"], "spon: argument COMMAND: invalid choice: 'shw' (choose from 'show', "),
        (["show"], "spon show: the following arguments are required: FILE (`spon show --help`)"),
    ],
)
def test_a_mistyped_command_is_one_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(sentence) and error.count("\n") == 1


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("spon 0.")
