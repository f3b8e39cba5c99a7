"""Who may import whom, and that rules, scripts, library and tests mirror one another."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

from spon.lineage import digest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
MODULES = sorted(path for path in (ROOT / "spon").rglob("*.py") if path.name != "__init__.py")
# What the modules of a room may import beside one another: rooms, or single modules of the hall.
LAW = {
    "hall": "inputs methods.registry methods.names",
    "methods": "hall inputs",
    "inputs": "",
    "analyses": "hall inputs",
    "tables": "stats sites allocate inputs.check",
    "claims": "tables stats sites inputs.check",
    "tasks": "hall inputs",
    "figures": "",
    "report": "tables claims stats sites allocate",
    "cost": "hall inputs figures methods.names",
    "decode": "hall inputs export",
    "lineage": "",
    "export": "hall inputs methods.names analyses.checkpoints",
}
# Who alone may import these; rules and scripts apart.
ASKED_BY = {
    "schema": {"settings"},
    "settings": set(),
    "study": {"settings", "cost.jobs"},
    "job": set(),
    "failures": {"job"},
    "signals": {"job"},
}
# What the command offers.
COMMANDS = {"lineage.command", "export.command", "decode.command"}
# The seam knows both worlds.
SEAM_IMPORTS = {"cache", "resume", "lineage.digest", "lineage.records", "lineage.stamp"}
HALL_WITHOUT_TORCH = {"allocate", "biases", "command", "failures", "job", "memory", "names"}
HALL_WITHOUT_TORCH |= {"progress", "schema", "settings", "signals", "sites", "stats", "study"}
HALL_WITHOUT_TORCH |= {"texts"}
# Rooms whose modules import it, but for their commands.
WITH_TORCH = {"decode", "export", "methods"}
# What looks up an installed package by its name, which is no code of ours.
IMPORTING = {"corpus"}
# What analyses may share; they import none of one another.
OF_ANALYSES = {"analyses.runs", "analyses.chance", "analyses.checkpoints"}
ANALYSES_OF_STATES = {"pca_alignment", "category_shift", "hidden_state_shift"}


def name_of(module):
    """A module's name below spon."""
    return ".".join(module.relative_to(ROOT / "spon").with_suffix("").parts)


def room_of(name):
    """The room of a module; the hall has those that are in no folder."""
    return name.split(".")[0] if "." in name else "hall"


def is_lawful(importer, imported):
    """Whether one module may import another one."""
    if imported in ASKED_BY:
        return importer in ASKED_BY[imported]
    if room_of(importer) == room_of(imported) == "analyses":
        return imported in OF_ANALYSES
    allowed = {room_of(importer), *LAW[room_of(importer)].split()}
    known = {"job": SEAM_IMPORTS, "command": COMMANDS}
    return bool({imported, room_of(imported)} & allowed | {imported} & known.get(importer, set()))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_its_line_of_the_law_names(path):
    importer = name_of(path)
    unlawful = [
        imported for imported in digest.read_imports(path) if not is_lawful(importer, imported)
    ]
    assert not unlawful, (
        f"spon.{importer} imports {unlawful}: its room may import "
        f"{LAW[room_of(importer)] or 'nothing'}"
    )


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("figures.style", "stats"),
        ("inputs.tokens", "models"),
        ("analyses.norm_ranking", "analyses.pca_alignment"),
        ("lineage.show", "job"),
        ("tables.gains", "claims.effects"),
        ("models", "settings"),
    ],
)
def test_the_law_forbids_what_would_couple_rooms(importer, imported):
    assert not is_lawful(importer, imported)


def test_modules_do_not_import_one_another_in_a_circle():
    graph = {name_of(path): digest.read_imports(path) for path in MODULES}
    assert len([*TopologicalSorter(graph).static_order()]) == len(MODULES)


def test_the_readme_maps_every_file_of_the_hall_and_every_room():
    readme = (ROOT / "README.md").read_text()
    area = readme[readme.index("## What is where") :].split("\n## ")[0]
    hall = {name for name in map(name_of, MODULES) if room_of(name) == "hall"}
    assert {name for name in hall if not re.search(rf"\b{name}\b", area)} == set()
    assert {name for name in LAW if name != "hall" and f"      {name}/ " not in area} == set()


def test_models_and_tokenizers_are_read_where_no_code_of_theirs_is_run():
    places = [*MODULES, *SCRIPTS, *(ROOT / "bench").glob("*.py")]
    reading = {
        path.stem: re.findall(r"\b(\w+)\.from_pretrained\(", path.read_text()) for path in places
    }
    assert {name: calls for name, calls in reading.items() if calls} == {
        "models": ["AutoConfig", "AutoModelForCausalLM"],
        "gguf": ["AutoModelForCausalLM", "AutoTokenizer"],
        "tokens": ["AutoTokenizer"],
        "card": ["AutoModelForCausalLM"],  # in the text of a card
    }
    for name, calls in {"models.py": 2, "inputs/gguf.py": 2, "inputs/tokens.py": 1}.items():
        text = (ROOT / "spon" / name).read_text()
        assert text.count("trust_remote_code=False") == calls
    everything = "".join(path.read_text() for path in [*places, *RULES])
    assert not re.search(r"trust_remote_code\W+True|torch\.hub|get_class_from_dynamic", everything)


def test_packages_are_empty_so_that_importing_one_module_imports_no_other():
    packages = {*(ROOT / "spon").rglob("__init__.py")} - {ROOT / "spon/__init__.py"}
    assert all(path.read_text() == "" for path in packages)
    listing = "import spon, sys; print([name for name in sys.modules if name.startswith('spon.')])"
    command = [sys.executable, "-c", listing]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_what_runs_a_model_depends_on_no_room_that_shows_its_numbers(script):
    reached = digest.describe_code(script)
    if "models" in reached:
        assert not {room_of(name) for name in reached} & {
            "tables",
            "claims",
            "figures",
            "report",
            "lineage",
        }


def test_every_module_is_part_of_a_result_but_the_seam_what_rules_ask_and_what_reads_lineage():
    reached = {name for script in SCRIPTS for name in digest.describe_code(script)}
    apart = {
        name
        for name in map(name_of, MODULES)
        if name not in reached and room_of(name) not in ("lineage", "export")
    }
    assert apart == {
        "command",
        "failures",
        "job",
        "progress",
        "schema",
        "settings",
        "signals",
        "study",
        "texts",
        "cost.batch",
        "cost.jobs",
        "decode.command",
        "decode.demo",
        "decode.kernel",  # for a GPU
        "decode.run",
        "inputs.gguf",  # known by the number of its conversion
        "inputs.header",
        "inputs.wheel",
        "methods.names",
        "methods.registry",
        "methods.wina",  # known by its own digest, in the settings of the jobs that use it
        "report.comparison",  # of published studies, by docs/update_readme.py
    }


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda path: path.stem)
def test_imports_are_absolute_and_static_so_that_the_digest_sees_them(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"relative import in {path}"
            assert node.names[0].name != "*", f"star import in {path}"
            dynamic = node.module == "importlib" and node.names[0].name != "metadata"
            assert not dynamic or path.stem in IMPORTING, path
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
            assert "spon" not in names, f"import spon.X in {path}: say from spon import X"
        if isinstance(node, ast.Name) and path.stem not in IMPORTING:
            assert node.id not in ("__import__", "importlib", "exec", "eval"), path


@pytest.mark.parametrize("path", [*MODULES, *SCRIPTS], ids=lambda path: path.stem)
def test_a_name_of_ours_that_is_imported_is_nothing_else_in_the_file_so_that_the_digest_is_right(
    path,
):
    tree = ast.parse(path.read_text())
    bindings = digest.list_bindings(tree)
    imported = {name for name, bound in bindings.items() if bound[0] not in digest.APART}
    stored = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stored.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            stored.add(node.name)
    assert not imported & stored


def test_what_the_digest_leaves_out_is_there():
    assert all(digest.module_path(name).exists() for name in digest.APART)


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.stem != "job"], ids=lambda path: path.stem
)
def test_only_the_seam_knows_snakemake(path):
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom | ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
            names.add((getattr(node, "module", None) or "").split(".")[0])
    assert "snakemake" not in names


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_import_nothing_that_imports_torch_and_not_the_seam(path):
    imported = set()
    for line in re.findall(r"^from spon.*$", path.read_text(), re.M):
        imported |= {module for _, module, _ in digest.list_imports(ast.parse(line))}
    rooms = {"analyses.checkpoints", "cost.batch", "cost.jobs", "inputs.corpus", "inputs.folder"}
    rooms |= {"lineage.digest", "inputs.files", "inputs.gguf", "inputs.shape", "inputs.source"}
    rooms |= {"lineage.publish", "methods.names", "tasks.catalogue", "tasks.local"}
    assert imported <= rooms | HALL_WITHOUT_TORCH - {"job"}


def test_what_needs_no_torch_does_not_import_it():
    with_torch = {f"analyses.{name}" for name in ANALYSES_OF_STATES}
    with_torch |= {"cost.rate", "inputs.tokens", "inputs.pretrain", "tasks.harness"}
    with_torch |= {name for name in map(name_of, MODULES) if room_of(name) in WITH_TORCH}
    names = [
        name
        for name in map(name_of, MODULES)
        if name not in with_torch and (room_of(name) != "hall" or name in HALL_WITHOUT_TORCH)
    ]
    modules = ", ".join(f"spon.{name}" for name in names)
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_imports_the_seam_first_so_that_it_ends_if_snakemake_has_ended_meanwhile(path):
    body = ast.parse(path.read_text()).body
    assert ast.unparse(body[1]) == "from spon.job import job", "run ruff check --fix"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_has_no_function_of_its_own_and_no_branch_but_that_of_workers(path):
    assert len(path.read_text().splitlines()) <= 50
    guards = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.If)]
    assert all(ast.unparse(guard.test) == "__name__ == '__main__'" for guard in guards)
    assert not re.search(r"^ *(def|while) ", path.read_text(), re.M)


def test_every_module_has_its_tests_and_every_script_its_rule():
    for module in MODULES:
        mirrored = module.relative_to(ROOT / "spon").with_name(f"test_{module.name}")
        assert (ROOT / "tests" / mirrored).exists(), module
    wiring = "".join(path.read_text() for path in RULES)
    for script in SCRIPTS:
        assert f'"../scripts/{script.name}"' in wiring, script
    assert set(re.findall(r"\.\./scripts/(\w+\.py)", wiring)) == {
        script.name for script in SCRIPTS
    }


def test_environments_for_conda_hold_the_pins_of_requirements():
    texts = [(ROOT / f"requirements{name}.txt").read_text() for name in ("", "-tasks")]
    pins = dict(re.findall(r"^([\w-]+)==(\S+)$", texts[0], re.M))
    of_tasks = dict(re.findall(r"^([\w-]+)==(\S+)$", texts[1], re.M))
    for path in (ROOT / "envs").glob("*.yaml"):
        *_, pip = yaml.safe_load(path.read_text())["dependencies"]
        for line in pip["pip"]:
            name, version = line.split("==")
            pinned = pins | of_tasks if path.stem == "tasks" else pins
            assert pinned[name] == version, f"{path.name}: {line}"
    constraints = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.M)
    )
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
    names = ("README.md", "CONTRIBUTING.md", "config/README.md")
    documents = [*(ROOT / name for name in names), *(ROOT / "docs").glob("*.md")]
    assert len(documents) > len(names)
    for document in documents:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} points to {target}"


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_the_log_and_the_benchmark_of_a_rule_bear_its_name(path):
    """A job takes its rule's name from there, since a module may rename rules."""
    rules = re.split(r"^(?:rule|use rule \w+ as) (\w+)", path.read_text(), flags=re.M)[1:]
    for name, body in zip(rules[::2], rules[1::2], strict=True):
        named = re.findall(r'"(?:logs|benchmarks)/.*?(\w+)\.(?:log|tsv)"', body)
        assert set(named) <= {name}
