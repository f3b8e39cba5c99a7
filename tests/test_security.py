"""What SECURITY.md promises of the code as written, and that the tests that it names exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "spon").rglob("*.py"), *(ROOT / "workflow/scripts").glob("*.py")])
RULES = [ROOT / "workflow/Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
OF_PICKLES = {"torch.load", "torch.save", "read_pickle", "to_pickle", "allow_pickle"}
RUNNING = {"eval", "exec", "compile", "__import__"}


def list_nodes(kind):
    """Every node of a kind in the library and the scripts, with the name of its file."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield path.relative_to(ROOT).as_posix(), node


def find(pattern):
    """The files of library, scripts and rules with a line of code that has a pattern."""
    for path in [*SOURCES, *RULES]:
        if re.search(pattern, path.read_text(encoding="utf-8")):
            yield path.relative_to(ROOT).as_posix()


def test_one_place_alone_opens_a_pickle_and_takes_no_code_from_it():
    imported = [
        (path, name)
        for path, node in list_nodes((ast.Import, ast.ImportFrom))
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
    ]
    assert not [found for found in imported if str(found[1]).split(".")[0] in PICKLES]
    calls = [(path, ast.unparse(node)) for path, node in list_nodes(ast.Call)]
    opened = [found for found in calls if any(name in found[1] for name in OF_PICKLES)]
    assert {path for path, _ in opened} == {"spon/analyses/checkpoints.py"}
    assert all("weights_only=True" in call for _, call in opened)


def test_code_from_a_folder_is_never_trusted():
    words = [(path, ast.unparse(node)) for path, node in list_nodes(ast.keyword)]
    trusted = [found for found in words if found[1].startswith("trust_remote_code")]
    entries = list(find(r"""["']trust_remote_code["']: (?!False)"""))
    assert trusted
    assert {word for _, word in trusted} == {"trust_remote_code=False"}
    assert not entries


def test_no_text_is_run_as_code():
    called = [(path, node.func) for path, node in list_nodes(ast.Call)]
    run = [(path, name.id) for path, name in called if isinstance(name, ast.Name)]
    assert not [found for found in run if found[1] in RUNNING]
    assert not list(find(r"yaml\.(load|unsafe_load|full_load)\(|shell=True|os\.system\("))


def test_folders_are_removed_in_two_places_alone():
    assert set(find(r"\brmtree\(|\bremovedirs\(")) == {
        "spon/lineage/crate.py",
        "workflow/Snakefile",
    }


NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "SECURITY.md").read_text())


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_tests_that_are_named_exist(path, name):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert f"def {name or 'test_'}" in text
