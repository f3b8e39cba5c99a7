import ast
import subprocess
import sys
from pathlib import Path

import pytest

from spon.lineage import digest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
CODE = '"""Doc."""\n\n\ndef f(x):\n    """Double."""\n    return 2 * x\n'


def digest_text(code: str) -> str:
    return digest.describe_tree(ast.parse(code)).digest


@pytest.mark.parametrize(
    "same",
    [
        CODE.replace("Double.", "Twice as much."),
        CODE.replace('    """Double."""\n', ""),
        CODE.replace("    return", "    # why\n    return"),
        CODE.replace("2 * x", "(2 * x)"),
        CODE.replace("def f(x)", "def f(x: float) -> float"),
    ],
)
def test_comments_layout_and_docstrings_do_not_change_the_digest_of_code(same):
    assert digest_text(same) == digest_text(CODE)


@pytest.mark.parametrize(
    "other",
    [
        CODE.replace("2 * x", "x * 2"),
        CODE.replace("2 * x", "2.0 * x"),
        CODE.replace("2 * x", "None"),
        CODE.replace("def f(x)", "def f(x=None)"),
        CODE.replace("def f", "async def f"),
    ],
)
def test_everything_else_does(other):
    assert digest_text(other) != digest_text(CODE)


ERROR = (
    'def f(x):\n    if x < 0:\n        raise ValueError(f"x is {x}")\n    assert x, "x is zero"\n'
)


def test_the_wording_of_an_error_does_not_count_and_its_kind_and_condition_do():
    assert digest_text(ERROR) == digest_text(ERROR.replace("x is {x}", "{x} is below zero"))
    assert digest_text(ERROR) == digest_text(ERROR.replace('"x is zero"', 'f"got {x}"'))
    assert digest_text(ERROR) != digest_text(ERROR.replace("ValueError", "TypeError"))
    assert digest_text(ERROR) != digest_text(ERROR.replace("assert x,", "assert x > 1,"))


def test_what_is_raised_without_being_an_error_keeps_its_arguments():
    assert digest_text("raise SystemExit(0)\n") != digest_text("raise SystemExit(1)\n")
    assert digest_text("raise\n") == digest_text("raise\n")


LOOP = """from spon import progress

def f(batches, told):
    counter = progress.Progress(10)
    for batch in progress.follow(batches):
        told.append(batch)
        counter.advance(1, lambda: "KL")

def g(counter):
    counter.advance(1)
"""


@pytest.mark.parametrize(
    ("old", "new", "equal"),
    [
        ('"KL"', '"KL in nats"', True),
        ("        counter.advance(1, lambda", "        counter.advance(2, lambda", True),
        ("progress.follow(batches)", "batches", True),
        ("told.append(batch)", "told.append(2)", False),
        ("    counter.advance(1)\n", "    counter.advance(2)\n", False),
        ("in progress.follow(batches)", "in progress.follow(batches[:1])", False),
    ],
)
def test_progress_does_not_count_and_what_is_done_meanwhile_does(old, new, equal):
    assert old in LOOP
    assert (digest_text(LOOP) == digest_text(LOOP.replace(old, new))) == equal


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of ours: a room of two modules, one in the hall, a script that imports them."""
    monkeypatch.setattr(digest, "PACKAGE", tmp_path)
    write(tmp_path, "hall.py", "def double(x):\n    return 2 * x\n")
    write(
        tmp_path,
        "room/one.py",
        "from spon import hall\nfrom spon.hall import double\n\nA = hall.double(double(1))\n",
    )
    write(tmp_path, "room/two.py", "A = 7\n")
    write(
        tmp_path,
        "script.py",
        "import os\nfrom spon.room import one, two\n\nprint(one.A - two.A)\n",
    )
    yield tmp_path
    digest.read_module.cache_clear()


def write(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(text)
    digest.read_module.cache_clear()


def test_moving_and_renaming_a_module_changes_nothing_if_the_imports_follow(package):
    before = digest.digest_code(package / "script.py")
    (package / "room/one.py").rename(package / "first.py")
    write(
        package,
        "script.py",
        "import os\nfrom spon import first\nfrom spon.room import two\n\nprint(first.A - two.A)\n",
    )
    assert digest.digest_code(package / "script.py") == before
    described = digest.describe_code(package / "script.py")
    assert described["script"]["imports"] == ["first", "room.two"]
    assert set(described) == {"script", "first", "hall", "room.two"}


def test_a_module_may_be_imported_whole_or_by_its_names(package):
    before = digest.digest_code(package / "room/one.py")
    write(package, "room/one.py", "from spon.hall import double\n\nA = double(double(1))\n")
    assert digest.digest_code(package / "room/one.py") == before


def test_a_counter_that_is_something_else_too_counts():
    loop = LOOP.replace("    for batch", "    counter = told\n    for batch")
    assert digest_text(loop) != digest_text(loop.replace("advance(1, lambda", "advance(2, lambda"))
    follow = LOOP.replace(
        "    for batch in", "    parts = progress.follow(batches)\n    for batch in"
    )
    assert digest_text(follow) != digest_text(
        follow.replace("(batches)\n    for", "(told)\n    for")
    )


def test_one_name_for_two_imports_is_refused(package):
    text = "def f():\n    from spon.room import one as m\n    return m.A\n"
    write(package, "script.py", text + text.replace("one", "two").replace("f()", "g()"))
    with pytest.raises(AssertionError, match="m is imported twice, from room.one and room.two"):
        digest.digest_code(package / "script.py")


def test_importing_another_module_or_another_name_changes_the_digest(package):
    before = digest.digest_code(package / "script.py")
    write(
        package, "script.py", "import os\nfrom spon.room import one, two\n\nprint(two.A - one.A)\n"
    )
    assert digest.digest_code(package / "script.py") != before
    one = (package / "room/one.py").read_text()
    first = digest.digest_code(package / "room/one.py")
    write(package, "room/one.py", one.replace("import double\n", "import triple as double\n"))
    assert digest.digest_code(package / "room/one.py") != first


def test_a_change_behind_an_import_changes_the_digest_of_what_imports_it_and_not_its_own_meaning(
    package,
):
    before = digest.digest_code(package / "script.py")
    own = digest.read_module(package / "room/one.py").digest
    write(package, "hall.py", "def double(x):\n    return x + x\n")
    assert digest.digest_code(package / "script.py") != before
    assert digest.read_module(package / "room/one.py").digest == own


def test_a_script_depends_on_what_it_imports_and_on_what_that_imports():
    described = digest.describe_code(SCRIPTS / "train_spon.py")
    assert {"script", "cache", "divergence", "layers", "models", "sparsify", "train"} <= set(
        described
    )
    assert not {"evaluate", *digest.APART} & set(described)
    assert digest.combine_code(described) == digest.digest_code(SCRIPTS / "train_spon.py")
    assert "train" not in digest.describe_code(SCRIPTS / "evaluate.py")


def test_two_interpreters_with_different_hash_seeds_agree():
    script = str(SCRIPTS / "evaluate.py")
    code = f"from spon.lineage import digest; print(digest.digest_code({script!r}))"
    command = [sys.executable, "-c", code]
    digests = {
        subprocess.run(
            command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_the_order_of_keys_does_not_matter_to_a_digest_and_swapped_values_do():
    assert digest.digest_json({"a": 1, "b": 2}) == digest.digest_json({"b": 2, "a": 1})
    assert digest.digest_json({"a": 1, "b": 2}) != digest.digest_json({"a": 2, "b": 1})
