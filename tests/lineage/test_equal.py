import ast
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from bench.equal_code import describe_edit
from spon.lineage import digest, equal
from spon.lineage.equal import Equal, Module

ROOT = Path(__file__).parents[2]
HALL = "def double(x):\n    return 2 * x\n"
EDITED = "def double(x):\n    return x + x\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A module, and a script that imports it."""
    monkeypatch.setattr(digest, "PACKAGE", tmp_path)
    (tmp_path / "script.py").write_text("from spon import hall\n\nprint(hall.double(1))\n")
    write(tmp_path, HALL)
    yield tmp_path
    digest.read_module.cache_clear()


def write(folder: Path, text: str) -> None:
    (folder / "hall.py").write_text(text)
    digest.read_module.cache_clear()


def describe(text: str) -> Module:
    return digest.describe_tree(ast.parse(text))


def show(monkeypatch, now: str, was: str) -> None:
    entry = Equal("hall.py", describe(now), describe(was), "by hand")
    monkeypatch.setattr(digest, "find_earlier", lambda code: equal.find_earlier(code, (entry,)))


def test_an_edit_that_was_shown_to_change_no_number_changes_no_digest(package, monkeypatch):
    before = digest.describe_code(package / "script.py")
    write(package, EDITED)
    assert digest.describe_code(package / "script.py") != before
    show(monkeypatch, now=EDITED, was=HALL)
    digest.read_module.cache_clear()
    assert digest.describe_code(package / "script.py") == before


def test_the_next_edit_makes_it_void(package, monkeypatch):
    before = digest.digest_code(package / "script.py")
    show(monkeypatch, now=EDITED, was=HALL)
    write(package, EDITED + "\n# a comment\n")
    assert digest.digest_code(package / "script.py") == before
    write(package, EDITED.replace("x + x", "x + x + 0"))
    assert digest.digest_code(package / "script.py") != before


def test_what_imports_modules_that_it_did_not_is_not_called_equal():
    """An edit of such a module would be seen by nobody."""
    now = Module("a" * 16, ("models", "sites"))
    with pytest.raises(AssertionError, match="hall.py imports sites, which it did not before"):
        Equal("hall.py", now, Module("b" * 16, ("models",)), "by hand")
    Equal("hall.py", replace(now, imports=("models",)), now, "by hand")


def test_imports_that_were_moved_since_are_told_by_their_place():
    now, was = Module("a" * 16, ("models", "sites")), Module("b" * 16, ("sites", "models"))
    entry = Equal("hall.py", now, was, "by hand")
    moved = Module("a" * 16, ("models", "places"))
    assert equal.find_earlier(moved, (entry,)) == Module("b" * 16, ("places", "models"))
    other = Module("a" * 16, ("models",))
    assert equal.find_earlier(other, (entry,)) == other


def test_every_entry_is_of_the_file_as_it_is_and_of_modules_that_are_there():
    for entry in equal.EQUAL:
        now = describe((ROOT / entry.file).read_text(encoding="utf-8"))
        assert now == entry.now, f"{entry.file} was edited since: take its entry out"
        assert all(digest.module_path(name).exists() for name in entry.was.imports)
    files = [entry.file for entry in equal.EQUAL]
    assert len(set(files)) == len(files)


def test_the_command_tells_a_file_as_it_is_from_what_it_was(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True)

    git("init", "-q")
    write(tmp_path, HALL)
    git("add", "hall.py")
    git("commit", "-qm", "first")
    write(tmp_path, EDITED)
    entry = describe_edit("hall.py", "HEAD", "by hand", tmp_path)
    assert entry == Equal("hall.py", describe(EDITED), describe(HALL), "by hand")
    assert eval(repr(entry)) == entry
