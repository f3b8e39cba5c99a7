"""What a result depends on: the digest of the code behind it, blind to comments, layout and docstrings."""

import ast
import hashlib
import json
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# The seam moves files, logs and threads; no number depends on it.
SEAM = {"job", "lineage.digest", "lineage.records"}


def digest_code(script: str | Path) -> str:
    """Digest of a script and of every module of ours that it imports, directly or not.

    Equal for equal code on Python 3.11 to 3.13, whatever its comments, layout and docstrings.
    """
    return digest_json(digest_modules(script))


def digest_modules(script: str | Path) -> dict[str, str]:
    """Digest of a script, as `script`, and of each module of ours that it imports, by name."""
    names = collect_imports(Path(script))
    return {"script": digest_source(Path(script))} | {name: digest_source(module_path(name)) for name in names}


def digest_json(value: object) -> str:
    """Sixteen hex digits of plain data, the same in any order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def collect_imports(script: Path) -> list[str]:
    """Names of our modules that a script reaches, sorted, the seam left out."""
    found: set[str] = set()
    waiting = [script]
    while waiting:
        for name in read_imports(waiting.pop()):
            if name not in found and name not in SEAM:
                found.add(name)
                waiting.append(module_path(name))
    return sorted(found)


@cache
def read_imports(path: Path) -> tuple[str, ...]:
    """Our modules that one file imports, as `train` or `analyses.pca_alignment`."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "spon":
            parent = node.module.removeprefix("spon").lstrip(".")
            children = [f"{parent}.{alias.name}".lstrip(".") for alias in node.names]
            names += [child if not parent or module_path(child).exists() else parent for child in children]
        elif isinstance(node, ast.Import):
            names += [alias.name[5:] for alias in node.names if alias.name.startswith("spon.")]
    return tuple(sorted(set(names)))


def module_path(name: str) -> Path:
    """The file of one of our modules."""
    return PACKAGE / Path(*name.split(".")).with_suffix(".py")


@cache
def digest_source(path: Path) -> str:
    """Digest of one file's meaning."""
    return digest_json(describe_node(ast.parse(path.read_text())))


def describe_node(node: object) -> object:
    """A syntax tree as plain data, without positions and docstrings.

    Fields that are empty are left out, since newer versions of Python have more of them.
    """
    if isinstance(node, list):
        return [describe_node(item) for item in node]
    if not isinstance(node, ast.AST):
        return f"{type(node).__name__}:{node!r}"
    fields = dict(ast.iter_fields(node))
    fields.pop("kind", None)
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        fields["body"] = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    kept = {name: describe_node(value) for name, value in fields.items() if value is not None and value != []}
    if isinstance(node, ast.Constant):
        kept["value"] = describe_node(node.value)
    return {"node": type(node).__name__} | kept
