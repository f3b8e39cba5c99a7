"""Who may import whom, and that rules, scripts, library and tests mirror one another."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from spon import lineage

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
MODULES = sorted(path for path in (ROOT / "spon").rglob("*.py") if path.name != "__init__.py")
MAY_USE = {
    "corpus": set(),
    "data": set(),
    "source": set(),
    "sparsify": set(),
    "cache": set(),
    "layers": set(),
    "memory": set(),
    "progress": set(),
    "models": {"cache", "memory", "progress", "source"},
    "divergence": {"models"},
    "calibrate": {"models", "progress", "sparsify"},
    "train": {"cache", "data", "divergence", "layers", "models", "progress", "sparsify"},
    "evaluate": {"cache", "models", "progress", "sparsify"},
    "untrained": {"models", "progress", "sparsify"},
    "pretrain": {"models", "sparsify"},
    "directions": set(),
    "biases": set(),
    "checkpoints": set(),
    "analyses.pca_alignment": {"models", "biases", "directions"},
    "analyses.category_shift": {"models", "sparsify", "biases", "directions"},
    "analyses.hidden_state_shift": {"models", "sparsify", "biases", "directions", "stats"},
    "analyses.bias_statistics": {"biases", "stats"},
    "analyses.norm_ranking": {"biases"},
    "analyses.cross_configuration": {"biases", "directions", "stats"},
    "allocate": set(),
    "stats": set(),
    "outcomes": {"allocate", "stats"},
    "tables": {"outcomes", "stats"},
    "gains": {"outcomes", "stats"},
    "pareto": {"outcomes", "stats"},
    "controls": {"outcomes", "stats"},
    "effects": {"outcomes", "stats"},
    "outcome_effects": {"effects", "outcomes", "stats"},
    "analysis_effects": {"effects", "stats"},
    "ledger": {"effects", "outcome_effects", "analysis_effects"},
    "claims": {"effects", "ledger", "stats"},
    "environment": set(),
    "headline": set(),
    "look": set(),
    "figures": {"look"},
    "state_figures": {"look"},
    "bias_figures": {"look"},
    "markdown": set(),
    "page": set(),
    "cost": {"look"},
    "shapes": set(),
    "workload": {"allocate"},
    "plan": {"cost", "memory", "workload"},
    "rate": {"corpus", "divergence", "evaluate", "layers", "memory", "models", "sparsify", "train", "workload"},
    "findings_setup": {"findings_results", "markdown"},
    "findings_layers": {"markdown"},
    "findings_claims": {"claims", "effects", "markdown"},
    "findings_biases": {"claims", "effects", "markdown"},
    "findings_results": {"claims", "markdown", "outcomes"},
    "findings_states": {"claims", "findings_biases", "markdown"},
    "findings_controls": {"claims", "findings_results", "markdown"},
    "findings_summary": {"claims", "markdown"}
    | {f"findings_{part}" for part in ("biases", "claims", "controls", "results")},
    "findings": {"markdown", "findings_summary"}
    | {f"findings_{part}" for part in ("biases", "claims", "controls", "layers", "results", "setup", "states")},
    "study": set(),
    "jobs": {"study"},
    "settings": {"allocate", "checkpoints", "corpus", "memory", "shapes", "source", "study"},
    "lineage": set(),
    "records": {"lineage"},
    "job": {"cache", "lineage", "records"},
    "origin": set(),
    "lookup": {"origin", "records"},
    "show": {"lookup", "records"},
    "why": {"lookup", "records", "show"},
    "verify": {"lookup", "origin", "records", "show"},
    "publish": {"records", "show", "verify"},
    "crate": {"lineage", "records", "verify"},
    "command": {"crate", "lookup", "publish", "records", "show", "verify", "why"},
}
WITH_TORCH = {"data", "sparsify", "models", "calibrate", "train", "evaluate", "untrained", "pretrain"}
WITH_TORCH |= {"cache", "divergence", "layers", "rate"}
WITH_TORCH |= {"analyses.pca_alignment", "analyses.category_shift", "analyses.hidden_state_shift"}


def name_of(module):
    """A module's name below spon."""
    return ".".join(module.relative_to(ROOT / "spon").with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_the_layers_below_it(path):
    assert set(lineage.read_imports(path)) <= MAY_USE[name_of(path)]
    assert all(path.read_text() == "" for path in (ROOT / "spon").rglob("__init__.py"))


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda path: path.stem)
def test_imports_are_absolute_and_static_so_that_the_digest_sees_them(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"relative import in {path}"
        assert not (isinstance(node, ast.Name) and node.id in ("__import__", "importlib", "exec", "eval")) or (
            path.stem == "corpus"
        )


@pytest.mark.parametrize("path", [path for path in MODULES if path.stem != "job"], ids=lambda path: path.stem)
def test_only_the_seam_knows_snakemake(path):
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    assert "snakemake" not in names


def test_what_needs_no_torch_does_not_import_it():
    modules = ", ".join(f"spon.{name_of(path)}" for path in MODULES if name_of(path) not in WITH_TORCH)
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_has_no_function_loop_or_branch_of_its_own(path):
    assert len(path.read_text().splitlines()) <= 50
    guards = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.If)]
    assert all(ast.unparse(guard.test) == "__name__ == '__main__'" for guard in guards)
    assert not re.search(r"^ *(def|while) ", path.read_text(), re.M)


def test_every_module_has_its_tests_and_every_script_its_rule():
    for module in MODULES:
        if module.stem != "job":  # the seam is tested by running the workflow
            assert (ROOT / f"tests/test_{module.stem}.py").exists(), module
    wiring = "".join(path.read_text() for path in RULES)
    for script in SCRIPTS:
        assert f'"../scripts/{script.name}"' in wiring, script
    assert set(re.findall(r"\.\./scripts/(\w+\.py)", wiring)) == {script.name for script in SCRIPTS}


def test_environments_for_conda_hold_the_pins_of_requirements():
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M))
    for path in (ROOT / "envs").glob("*.yaml"):
        *_, pip = yaml.safe_load(path.read_text())["dependencies"]
        for line in pip["pip"]:
            name, version = line.split("==")
            assert pins[name] == version, f"{path.name}: {line}"
    constraints = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M))
    lowered = {name.lower().replace("_", "-"): version for name, version in constraints.items()}
    for name, version in pins.items():
        assert lowered[name.lower().replace("_", "-")] == version, name


def test_choices_are_marked_where_they_are_made_and_listed_in_the_method():
    listed = (ROOT / "docs/method.md").read_text()
    for path in MODULES:
        marks = path.read_text().count("# ASSUME:")
        lines = listed.count(f"| `{path.relative_to(ROOT)}` |")
        assert lines >= marks, f"docs/method.md lists {lines} of the {marks} choices of {path}"


def test_files_that_users_are_told_about_are_there():
    for name in ("README.md", "CONTRIBUTING.md", "config/README.md", "docs/method.md", "docs/publishing.md"):
        folder = (ROOT / name).parent
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text()):
            assert (folder / target).exists(), f"{name} points to {target}"
