"""That the lock with hashes is what requirements and constraints say, without asking any index."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([\w.-]+)==([^\s;]+)(?: ; (.*?))?(?: \\)?$", re.M)
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
LOCK = (ROOT / "requirements.lock").read_text()
# What torch brings along from PyPI for NVIDIA's GPUs, and what no version of pip leaves to us.
OF_GPUS = re.compile(r"(nvidia|cuda|triton)\b")
UNPINNED = {"setuptools"}
# What spon imports only where the user has asked for it.
ASKED_FOR = {"llama_cpp", "lm_eval", "triton"}
# What transformers needs to read GGUF files.
BROUGHT = {"accelerate"}
# What a part of the workflow needs beside them.
FURTHER = ("requirements-tasks.txt", "requirements-slurm.txt")
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}
MAC = {"sys_platform": "darwin", "platform_machine": "arm64"}
WINDOWS = {"sys_platform": "win32", "platform_machine": "AMD64"}


def read_pins(text):
    return {canonicalize_name(name): version for name, version, _ in PIN.findall(text)}


def read_markers():
    return {canonicalize_name(name): marker for name, _, marker in PIN.findall(LOCK)}


def is_for(marker, machine, python):
    environment = machine | {"python_version": python, "python_full_version": f"{python}.0"}
    environment |= {"implementation_name": "cpython"}
    return not marker or Marker(marker).evaluate(environment)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("machine", [LINUX, MAC, WINDOWS], ids=["linux", "macos", "windows"])
def test_the_lock_holds_the_versions_of_requirements_and_constraints(machine, python):
    markers = read_markers()
    locked = {
        name: version
        for name, version in read_pins(LOCK).items()
        if is_for(markers[name], machine, python)
    }
    constraints = read_pins((ROOT / "constraints.txt").read_text())
    pinned = constraints | read_pins((ROOT / "requirements.txt").read_text())
    if machine is MAC:  # SQLAlchemy does without
        del pinned["greenlet"]
    assert {name: locked.get(name) for name in pinned} == pinned
    further = {name for name in locked.keys() - pinned if not OF_GPUS.match(name)}
    of_windows = {"pyreadline3", "pywin32", "tzdata"} if machine is WINDOWS else set()
    assert further == UNPINNED | of_windows


def test_every_line_of_the_lock_is_a_version_or_a_hash_and_each_version_has_one():
    lines = [line for line in LOCK.splitlines() if not line.startswith("#")]
    for line, following in zip(lines, [*lines[1:], "end==0"], strict=True):
        assert PIN.fullmatch(line) or HASH.fullmatch(line), line
        assert line.endswith(" \\") == bool(HASH.fullmatch(following)), line
        assert HASH.fullmatch(line) or HASH.fullmatch(following), f"{line} has no hash"


def test_the_lock_is_made_as_contributing_says():
    command = LOCK.splitlines()[1].removeprefix("#").strip()
    assert command.startswith("uv pip compile --universal --python-version 3.11 --generate-hashes")
    assert command in (ROOT / "CONTRIBUTING.md").read_text()


def list_imported(path):
    """The top modules that a file of ours imports, but for Python's and ours."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names} - {"spon"} - sys.stdlib_module_names


def test_the_library_depends_on_what_it_imports_from_the_pinned_version_to_the_next_major_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    depended = {
        canonicalize_name(one.name): one for one in map(Requirement, project["dependencies"])
    }
    pins = read_pins((ROOT / "requirements.txt").read_text())
    expected = {name: "~=" + ".".join(pins[name].split(".")[:2]) for name in depended}
    assert {name: str(one.specifier) for name, one in depended.items()} == expected
    assert all(pins[name] in one.specifier for name, one in depended.items())
    imported = set().union(*map(list_imported, (ROOT / "spon").rglob("*.py"))) - ASKED_FOR
    distributions = packages_distributions()
    needed = {canonicalize_name(distributions[name][0]) for name in imported}
    assert depended.keys() == needed | BROUGHT


def test_requirements_pin_every_package_by_its_version():
    for name in ("requirements.txt", *FURTHER, "constraints.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert not line or line.startswith(("#", "-c ")) or PIN.fullmatch(line), line


def test_the_image_has_the_lock_and_copies_what_is_there():
    text = (ROOT / "envs/Dockerfile").read_text()
    assert "pip install --no-cache-dir --require-hashes -r requirements.lock" in text
    assert "FROM python:3.11-" in text
    copied = [
        source for names in re.findall(r"^COPY (.+) \S+$", text, re.M) for source in names.split()
    ]
    assert len(copied) > 5
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize("name", FURTHER)
def test_what_tasks_or_slurm_need_changes_no_version_that_all_else_needs(name):
    text = (ROOT / name).read_text()
    assert "-c requirements.txt\n-c constraints.txt\n" in text
    constraints = read_pins((ROOT / "constraints.txt").read_text())
    assert not set(read_pins(text)) & set(constraints)
