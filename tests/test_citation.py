"""CITATION.cff says what the package says of itself, and the date of its version's tag."""

import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_version_and_licence_are_those_of_the_package():
    assert CITATION["version"] == PACKAGE["version"]
    assert CITATION["license"] == PACKAGE["license"]


def test_the_version_was_released_when_it_was_tagged():
    tag = f"refs/tags/v{CITATION['version']}"
    command = ["git", "for-each-ref", "--format=%(creatordate:short)", tag]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if not ran.stdout:
        pytest.skip("this clone has no tags")
    assert ran.stdout.strip() == CITATION["date-released"].isoformat()
