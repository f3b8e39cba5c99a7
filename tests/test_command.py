"""The command `spon` as a whole."""

import subprocess
import sys

import pytest

from spon.command import main


def test_it_starts_without_torch():
    code = "import sys, spon.command; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_it_lists_what_it_can_do(capsys):
    assert main([]) == 2
    listed = capsys.readouterr().out
    for name in ("show", "why", "verify", "crate", "publish", "export", "import"):
        assert f"\n    {name} " in listed


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("spon 0.")
