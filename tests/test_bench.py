"""Benchmarks run for minutes to hours, so what they use of the library is looked up instead."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "bench").glob("*.py"), ROOT / "docs/update_readme.py"])


def find_used(tree):
    """The names of the library and of bench that a module uses, with where they should be."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("spon", "bench"):
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.module, alias.name
    for node in ast.walk(tree):
        is_plain = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if is_plain and node.value.id in modules:
            yield modules[node.value.id], node.attr


def look_up(path, name):
    """Whether there is such a name in a module, or attribute of a class of one."""
    try:
        owner = importlib.import_module(path)
    except ModuleNotFoundError:
        module, _, inner = path.rpartition(".")
        owner = getattr(importlib.import_module(module), inner)
    try:
        return hasattr(owner, name) or bool(importlib.import_module(f"{path}.{name}"))
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_a_benchmark_uses_is_there(file):
    used = set(find_used(ast.parse(file.read_text())))
    assert [f"{path}.{name}" for path, name in sorted(used) if not look_up(path, name)] == []


def test_a_name_that_is_gone_is_found():
    tree = ast.parse("from spon import train\ntrain.make_scheduler(1)\n")
    assert not look_up(*next(one for one in find_used(tree) if one[1] == "make_scheduler"))
