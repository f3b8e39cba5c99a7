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
    return digest.digest_json(digest.describe_node(ast.parse(code)))


@pytest.mark.parametrize(
    "same",
    [
        CODE.replace("Double.", "Twice as much."),
        CODE.replace('    """Double."""\n', ""),
        CODE.replace("    return", "    # why\n    return"),
        CODE.replace("2 * x", "(2 * x)"),
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


def test_a_script_depends_on_what_it_imports_and_on_what_that_imports():
    modules = digest.collect_imports(SCRIPTS / "train_spon.py")
    engine = ["cache", "data", "divergence", "layers", "memory", "models", "progress", "source", "sparsify", "train"]
    assert modules == engine
    assert "train" not in digest.collect_imports(SCRIPTS / "evaluate.py")


def test_two_interpreters_with_different_hash_seeds_agree():
    code = f"from spon.lineage import digest; print(digest.digest_code({str(SCRIPTS / 'evaluate.py')!r}))"
    command = [sys.executable, "-c", code]
    digests = {
        subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_the_order_of_keys_does_not_matter_to_a_digest_and_swapped_values_do():
    assert digest.digest_json({"a": 1, "b": 2}) == digest.digest_json({"b": 2, "a": 1})
    assert digest.digest_json({"a": 1, "b": 2}) != digest.digest_json({"a": 2, "b": 1})
