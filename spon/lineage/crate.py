"""Write a study as a Provenance Run Crate: its files with what made each.

A crate is for archives, and for tools that know no Snakemake. It follows RO-Crate 1.1 and version
0.5 of the profiles Process, Workflow and Provenance Run Crate
(https://www.researchobject.org/workflow-run-crate/profiles/provenance_run_crate/). Everything in
it comes from the lineage records, so that the same records give the same bytes.
"""

import json
import mimetypes
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from spon.lineage import digest
from spon.lineage.records import Record, read_records, run_git
from spon.lineage.verify import choose_study, describe_report, verify

HOME = Path(__file__).parents[2]
CODE = ["workflow", "spon", "config", "profiles", "envs"]
FILES = ["Snakefile", "requirements.txt", "constraints.txt", "README.md", "LICENSE"]
PROFILES = [
    f"https://w3id.org/ro/wfrun/{name}/0.5" for name in ("process", "workflow", "provenance")
]
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
]
PARAMETER = "https://bioschemas.org/profiles/FormalParameter/1.0-RELEASE"
METADATA = "ro-crate-metadata.json"


def write_crate(root: Path, study: str, folder: Path) -> tuple[int, int]:
    """Write a sound study as a crate, and return the number of its jobs and of its files.

    Args:
        root: The folder whose records are read.
        study: The study's name.
        folder: The crate, made anew if it is there.

    Raises:
        ValueError: The study is not as recorded, the code has changed since, or the folder holds
            something else.
    """
    records = read_records(root)
    jobs = choose_study(records, study)
    report = verify(root, records, study)
    if not report.sound:
        problem = describe_report(report).splitlines()[0]
        raise ValueError(f"{study} is not as recorded, so it has no crate: {problem}")
    if folder.exists() and not (folder / METADATA).exists():
        raise ValueError(
            f"{folder} is there and no crate: name a folder that is empty, or none yet, with --to"
        )
    graph = [unwrap(entity) for entity in describe(root, study, jobs)]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copied = copy_files(root, folder, jobs)
    text = json.dumps({"@context": CONTEXT, "@graph": graph}, indent=1, ensure_ascii=False)
    (folder / METADATA).write_text(text + "\n", encoding="utf-8", newline="\n")
    return len(jobs), copied


def copy_files(root: Path, folder: Path, jobs: list[Record]) -> int:
    """Copy what the jobs read and wrote, their records and their code into a crate.

    Returns:
        The number of files in the crate, its metadata included.
    """
    for name in CODE:
        shutil.copytree(HOME / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copyfile(HOME / name, folder / name)
    study = next(record.study for record in jobs if record.study)
    lineage_folder = Path("results", study, "lineage")
    shutil.copytree(root / lineage_folder, folder / lineage_folder)
    for path in list_files(jobs):
        if is_inside(path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, folder / path)
    return sum(path.is_file() for path in folder.rglob("*")) + 1


def list_files(jobs: Iterable[Record]) -> dict[str, str]:
    """List the SHA-256 of every file that jobs have read or written, by path, sorted."""
    digests = {}
    for record in jobs:
        digests |= record.inputs | record.outputs
    return dict(sorted(digests.items()))


def is_inside(path: str) -> bool:
    """Return whether a path lies below the repository, so that a crate can hold it by its name."""
    return not Path(path).is_absolute() and ".." not in Path(path).parts


def describe(root: Path, study: str, jobs: list[Record]) -> Iterator[dict]:
    """Describe the entities of a crate: itself, the workflow, every file, and every action."""
    files = list_files(jobs)
    outputs = {path for record in jobs for path in record.outputs}
    inputs = {path for record in jobs for path in record.inputs}
    sources, finals = sorted(inputs - outputs), sorted(outputs - inputs)
    parameters = {*sources, *finals}
    tools = find_tools(jobs)
    actions = [f"#run/{study}", *(f"#job/{record.job}" for record in jobs)]
    yield from describe_root(root, study, [*files, *tools.values()], actions)
    yield from describe_workflow(study, tools, sources, finals)
    for path, sha256 in files.items():
        file = describe_file(root, path, sha256)
        if path in parameters:
            file["exampleOfWork"] = refer(f"#parameter/{path}")
        yield file
    for record in jobs:
        yield from describe_action(record, tools[record.rule])
    yield {
        "@id": f"#run/{study}",
        "@type": "CreateAction",
        "name": f"The study {study}",
        "description": "From a model and text to tables, figures and findings",
        "instrument": refer("Snakefile"),
        "object": [refer(name_file(path, files[path])) for path in sources],
        "result": [refer(name_file(path, files[path])) for path in finals],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    yield {
        "@id": f"#organize/{study}",
        "@type": "OrganizeAction",
        "name": f"Snakemake's run of the study {study}",
        "instrument": refer("#snakemake"),
        "object": [refer(f"#control/{record.job}") for record in jobs],
        "result": refer(f"#run/{study}"),
    }


def describe_root(
    root: Path, study: str, paths: Iterable[str], actions: list[str]
) -> Iterator[dict]:
    """Describe the crate itself, its profiles, and the folders that it holds whole."""
    folders = [f"{name}/" for name in CODE] + [f"results/{study}/lineage/"]
    inside = [path for path in paths if is_inside(path)]
    yield {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": refer("./"),
        "conformsTo": [refer("https://w3id.org/ro/crate/1.1"), refer(WORKFLOW_CRATE)],
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Activation sparsity with learned bias correction: the study {study}",
        "description": f"Results of the study {study}, and what each was made with: "
        "settings, code, inputs.",
        # ASSUME: the day of the commit that holds the records, since a crate's bytes must not
        # depend on the clock.
        "datePublished": run_git(root, "log", "-1", "--format=%cs").decode().strip(),
        "license": refer("LICENSE"),
        "conformsTo": [refer(profile) for profile in [*PROFILES, WORKFLOW_CRATE]],
        "hasPart": [refer(path) for path in dict.fromkeys([*FILES, *folders, *inside])],
        "mainEntity": refer("Snakefile"),
        "mentions": [refer(action) for action in [*actions, f"#organize/{study}"]],
    }
    for profile in [*PROFILES, WORKFLOW_CRATE]:
        name, version = profile.split("/")[-2:]
        yield {
            "@id": profile,
            "@type": "CreativeWork",
            "name": f"{name} crate",
            "version": version,
        }
    for path in folders:
        yield {
            "@id": path,
            "@type": "Dataset",
            "name": path,
            "description": f"The folder {path} of the repository",
        }
    for path in FILES[1:]:
        file = {"@id": path, "@type": "File", "name": path, "encodingFormat": "text/plain"}
        if path == "README.md":
            file |= {"encodingFormat": "text/markdown", "about": refer("./")}
        file["description"] = "Apache-2.0" if path == "LICENSE" else f"{path} of the repository"
        yield file


def describe_workflow(
    study: str, tools: dict[str, str], sources: list[str], finals: list[str]
) -> Iterator[dict]:
    """Describe the workflow with its parameters, a step per rule, and the scripts of the steps."""
    version = re.search(r"^snakemake==(.+)$", (HOME / "requirements.txt").read_text(), re.M)[1]
    yield {
        "@id": "Snakefile",
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "Activation sparsity with learned bias correction",
        "encodingFormat": "text/plain",
        "programmingLanguage": refer("#language"),
        "input": [refer(f"#parameter/{path}") for path in sources],
        "output": [refer(f"#parameter/{path}") for path in finals],
        "step": [refer(f"#step/{rule}") for rule in tools],
        "hasPart": [refer(path) for path in dict.fromkeys(tools.values())],
    }
    engine = {"name": "Snakemake", "url": "https://snakemake.github.io", "version": version}
    yield {"@id": "#language", "@type": "ComputerLanguage"} | engine
    yield {"@id": "#snakemake", "@type": "SoftwareApplication"} | engine
    for position, (rule, script) in enumerate(tools.items()):
        step = {
            "@id": f"#step/{rule}",
            "@type": "HowToStep",
            "name": rule,
            "position": str(position),
        }
        yield step | {"workExample": refer(script)}
    for script in dict.fromkeys(tools.values()):
        yield {
            "@id": script,
            "@type": ["File", "SoftwareSourceCode"],
            "name": Path(script).stem,
            "description": f"The script {script}",
            "programmingLanguage": refer("https://www.python.org"),
            "encodingFormat": "text/x-python",
        }
    yield {"@id": "https://www.python.org", "@type": "ComputerLanguage", "name": "Python"}
    for path in [*sources, *finals]:
        yield {
            "@id": f"#parameter/{path}",
            "@type": "FormalParameter",
            "additionalType": "File",
            "name": path,
            "conformsTo": refer(PARAMETER),
            "valueRequired": True,
        }
    yield {
        "@id": PARAMETER,
        "@type": "CreativeWork",
        "name": "FormalParameter",
        "version": "1.0-RELEASE",
    }


def find_tools(jobs: Iterable[Record]) -> dict[str, str]:
    """Find the script that each rule has run, by the digest in its record.

    Raises:
        ValueError: A script has changed since.
    """
    paths = sorted((HOME / "workflow/scripts").glob("*.py"))
    scripts = {digest.read_module(path).digest: path for path in paths}
    tools = {}
    for record in jobs:
        script = record.code["script"]["digest"]
        if script not in scripts:
            raise ValueError(
                f"the script of {record.rule} is no longer the one that ran (digest {script}): "
                f"check out the commit that published the study, or run it again"
            )
        tools[record.rule] = scripts[script].relative_to(HOME).as_posix()
    return dict(sorted(tools.items()))


def describe_file(root: Path, path: str, sha256: str) -> dict:
    """Describe a file of the jobs; one that is not in the crate, by its digest alone."""
    described = {"@id": name_file(path, sha256), "name": path, "sha256": sha256}
    if not is_inside(path):
        return described | {
            "@type": "CreativeWork",
            "description": f"Not in this crate: {Path(path).name}",
        }
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    size = str((root / path).stat().st_size)
    return described | {
        "@type": "File",
        "encodingFormat": kind,
        "contentSize": size,
        "description": f"The file {path}",
    }


def name_file(path: str, sha256: str) -> str:
    """Return a file's identifier in the crate."""
    return path if is_inside(path) else f"#file/{sha256}"


def describe_action(record: Record, script: str) -> Iterator[dict]:
    """Describe a job: what it read, its settings, what it wrote, and its step of the workflow."""
    settings = {name: value for name, value in record.spec.items() if name != "code"}
    identifiers = {name: f"#setting/{record.job}/{name}" for name in settings}
    names = " ".join(f"{name} {value}" for name, value in record.wildcards.items())
    yield {
        "@id": f"#job/{record.job}",
        "@type": "CreateAction",
        "name": f"{record.rule} {names}".strip(),
        "description": f"The job {record.job} of the rule {record.rule}",
        "instrument": refer(script),
        "object": [refer(name_file(path, sha256)) for path, sha256 in record.inputs.items()]
        + [refer(identifier) for identifier in identifiers.values()],
        "result": [refer(name_file(path, sha256)) for path, sha256 in record.outputs.items()],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    for name, value in settings.items():
        plain = value if isinstance(value, str | int | float) else json.dumps(value)
        yield {"@id": identifiers[name], "@type": "PropertyValue", "name": name, "value": plain}
    yield {
        "@id": f"#control/{record.job}",
        "@type": "ControlAction",
        "name": f"orchestrate {record.rule} {names}".strip(),
        "instrument": refer(f"#step/{record.rule}"),
        "object": refer(f"#job/{record.job}"),
    }


def unwrap(entity: dict) -> dict:
    """Replace an entity's lists of one entry by that entry, as RO-Crate recommends."""
    plain = {}
    for name, value in entity.items():
        plain[name] = value[0] if isinstance(value, list) and len(value) == 1 else value
    return plain


def refer(identifier: str) -> dict[str, str]:
    """Return a reference to an entity of the crate."""
    return {"@id": identifier}
