"""What a result depends on: the digest of the code behind it, blind to what changes no number.

Comments, layout, docstrings and the wording of errors and of progress do not count, nor does where
a module of ours lives or what it is called: each import of ours stands for the digest of what it
imports. A file whose edit was shown to change no number counts as it was before (`lineage.equal`).
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from spon.lineage.equal import Module, find_earlier

PACKAGE = Path(__file__).parents[1]
# The seam moves files, logs and threads, and progress is shown meanwhile; no number depends on
# them. What is made of a GGUF file is known by the number of its conversion, in the settings of
# `fetch_model`, and by digests that every job compares; a sparsifier of `methods`, by its own
# digest in the settings of the jobs that use it; a test sees that their registry decides nothing.
APART = {"job", "lineage.digest", "lineage.equal", "lineage.records", "lineage.stamp", "progress"}
APART |= {"inputs.gguf", "inputs.header", "inputs.wheel", "methods.registry", "methods.wina"}
PROGRESS = "progress"
# Parts of syntax that only people and checkers of types read.
BY_PEOPLE = {
    ast.Constant: ("kind",),
    ast.arg: ("annotation",),
    ast.FunctionDef: ("returns",),
    ast.AsyncFunctionDef: ("returns",),
}


def digest_code(script: str | Path) -> str:
    """Digest of a script and of all modules of ours behind it, equal on Python 3.11 to 3.13."""
    return combine_code(describe_code(script))


def describe_code(script: str | Path) -> dict[str, dict]:
    """The `digest` and `imports` of a script, named `script`, and of each module behind it."""
    script = read_module(Path(script))
    modules = {name: read_module(module_path(name)) for name in reach(script)}
    return {
        name: {"digest": module.digest, "imports": list(module.imports)}
        for name, module in {"script": script, **modules}.items()
    }


def combine_code(code: Mapping[str, Mapping]) -> str:
    """The one digest of what `describe_code` returns.

    It is that of the script, in which each import stands for the digest of what it imports.

    Raises:
        KeyError: A module is imported and not described.
    """

    @cache
    def combine(name: str) -> str:
        return digest_json(
            [code[name]["digest"], [combine(imported) for imported in code[name]["imports"]]]
        )

    return combine("script")


def digest_json(value: object) -> str:
    """Sixteen hex digits of plain data, the same in any order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def reach(module: Module) -> list[str]:
    """Names of our modules behind one, directly or not, sorted."""
    reached: set[str] = set()
    waiting = [*module.imports]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += read_module(module_path(name)).imports
    return sorted(reached)


def module_path(name: str) -> Path:
    """The file of one of our modules."""
    return PACKAGE / Path(*name.split(".")).with_suffix(".py")


@cache
def read_module(path: Path) -> Module:
    """The meaning of one file; that of an earlier state, if it was shown to be equal."""
    return find_earlier(describe_tree(ast.parse(path.read_text(encoding="utf-8"))))


def read_imports(path: Path) -> list[str]:
    """Every module of ours that a file names in an import, used or not, sorted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return sorted({module for _, module, _ in list_imports(tree)})


def describe_tree(tree: ast.Module) -> Module:
    """The meaning of a syntax tree."""
    bindings = list_bindings(tree)
    description = Description(bindings)
    content = description.describe(remove_wording(tree, bindings))
    return Module(digest_json(content), tuple(description.imports))


def list_bindings(tree: ast.AST) -> dict[str, tuple[str, str]]:
    """The module, and the name in it, of each name that an import of ours binds.

    The name is empty if the module itself is imported.
    """
    bindings: dict[str, tuple[str, str]] = {}
    for bound, module, name in list_imports(tree):
        known = bindings.setdefault(bound, (module, name))
        assert known == (module, name), f"{bound} is imported twice, from {known[0]} and {module}"
    return bindings


def list_imports(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Each name that an import of ours binds, with its module and its name there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and is_ours(node):
            parent = node.module.removeprefix("spon").lstrip(".")
            for alias in node.names:
                child = f"{parent}.{alias.name}".lstrip(".")
                is_module = not parent or module_path(child).exists()
                target = (child, "") if is_module else (parent, alias.name)
                yield alias.asname or alias.name, *target


def is_ours(node: ast.ImportFrom) -> bool:
    """Whether an import is of our package."""
    return (node.module or "").split(".")[0] == "spon"


def remove_wording(tree: ast.Module, bindings: Mapping[str, tuple[str, str]]) -> ast.Module:
    """The tree without imports of ours, the wording of errors, and progress."""
    return Wording({name for name, bound in bindings.items() if bound == (PROGRESS, "")}).visit(
        tree
    )


class Wording(ast.NodeTransformer):
    """Removes what is only read by people.

    Attributes:
        progress: The names by which a file calls the module of progress.
        counters: In the function at hand, the names of what that module made.
    """

    def __init__(self, progress: set[str]):
        self.progress = progress
        self.counters: set[str] = set()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """An import of ours goes: what it binds is told where it is used."""
        return None if is_ours(node) else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """An error is of a kind, whatever it says; what else may be raised keeps its arguments."""
        if isinstance(node.exc, ast.Call) and ast.unparse(node.exc.func).endswith("Error"):
            return ast.Raise(exc=node.exc.func, cause=None)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """An assertion is what it asks, whatever it says."""
        return ast.Assert(test=self.visit(node.test), msg=None)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function, whose counters of progress are its own."""
        outer, self.counters = self.counters, self.counters | set(self.find_counters(node))
        node = self.generic_visit(node)
        self.counters = outer
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        """A counter of progress goes."""
        return None if self.makes_counter(node) else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """A call of such a counter, whose value nobody uses, goes too."""
        return None if calls_method_of(node.value, self.counters) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """What is followed with progress is itself."""
        if self.is_of_progress(node) and node.func.attr == "follow" and node.args:
            return self.visit(node.args[0])
        return self.generic_visit(node)

    def find_counters(self, function: ast.FunctionDef) -> list[str]:
        """The names that a function gives to a counter, and to nothing else."""
        nodes = list(ast.walk(function))
        stored = [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        stored += [node.arg for node in nodes if isinstance(node, ast.arg)]
        counters = [node for node in nodes if isinstance(node, ast.Assign)]
        names = [node.targets[0].id for node in counters if self.makes_counter(node)]
        return [name for name in names if stored.count(name) == 1]

    def makes_counter(self, node: ast.Assign) -> bool:
        """Whether a statement is of the form `name = progress.Progress(...)`."""
        is_counter = self.is_of_progress(node.value) and node.value.func.attr == "Progress"
        return is_counter and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)

    def is_of_progress(self, node: ast.expr) -> bool:
        """Whether an expression calls the module of progress."""
        return calls_method_of(node, self.progress)


def calls_method_of(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is a call of the form `name.function()`, of one of these names."""
    called = node.func if isinstance(node, ast.Call) else None
    return (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id in names
    )


@dataclass
class Description:
    """Syntax trees as plain data.

    Attributes:
        bindings: As `list_bindings` returns them.
        imports: The modules that were met so far, in their order.
    """

    bindings: Mapping[str, tuple[str, str]]
    imports: list[str] = field(default_factory=list)

    def describe(self, node: object) -> object:
        """A node without positions and docstrings; an import of ours is told where it is used.

        Fields that are empty are left out, since newer versions of Python have more of them.
        """
        if isinstance(node, list):
            return [self.describe(item) for item in node]
        if not isinstance(node, ast.AST):
            return f"{type(node).__name__}:{node!r}"
        if isinstance(node, ast.Name) and node.id in self.bindings:
            return self.describe_binding(*self.bindings[node.id])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = self.bindings.get(node.value.id, ("", ""))
            if module and not name:  # as if the name had been imported by itself
                return self.describe_binding(module, node.attr)
        fields = dict(ast.iter_fields(node))
        for name in BY_PEOPLE.get(type(node), ()):
            fields.pop(name)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            fields["body"] = (
                node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            )
        kept = {
            name: self.describe(value)
            for name, value in fields.items()
            if value is not None and value != []
        }
        if isinstance(node, ast.Constant):
            kept["value"] = self.describe(node.value)
        return {"node": type(node).__name__} | kept

    def describe_binding(self, module: str, name: str) -> object:
        """What stands for one of our modules, or for a name in it."""
        if module in APART:
            return {"apart": module.rpartition(".")[2], "name": name}
        if module not in self.imports:
            self.imports.append(module)
        return {"import": self.imports.index(module), "name": name}
