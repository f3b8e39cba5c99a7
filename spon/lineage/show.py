"""Show what made a file, as text, JSON or Mermaid.

That is the tree of records behind it: down to model, text, settings and code.
"""

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from spon.lineage.find import Artifact
from spon.lineage.records import Record, Records

SHORT = 8  # digits of a digest that are printed
FEW = 3  # inputs of one rule that are printed one by one
LONG = 60  # characters of a value that is printed whole


@dataclass
class Tree:
    """A tree that is being printed.

    Attributes:
        records: All records.
        depth: How many jobs deep it goes; None for all.
        every: Whether many inputs of one rule are printed one by one, rather than folded.
        width: Characters of a line.
        seen: Digests of the jobs that have been printed.
    """

    records: Records
    depth: int | None = None
    every: bool = False
    width: int = 120
    seen: set[str] = field(default_factory=set)


def print_tree(
    artifact: Artifact, depth: int | None = None, every: bool = False, width: int = 120
) -> str:
    """Print what made a file as a tree, each job once."""
    digest = (artifact.recorded or artifact.sha256)[:SHORT]
    head = f"{artifact.path} · {digest} · {describe_state(artifact)}"
    if artifact.record is None:
        readers = artifact.records.readers[artifact.path]
        rules = count_rules(Counter(record.rule for record in readers))
        return f"{head}\na source: no record made it; read by {rules}\n"
    tree = Tree(artifact.records, depth, every, width)
    lines = [head, *print_job(artifact.record, "", 1, tree), ""]
    lines += print_summary(artifact, tree)
    return "\n".join(lines) + "\n"


def describe_state(artifact: Artifact) -> str:
    """Describe whether the file's bytes are those of its record, and what it was found by."""
    state = {
        "same": "the file is as recorded",
        "differs": f"THE FILE DIFFERS from its record: it is {(artifact.sha256 or '')[:SHORT]}",
        "absent": "the file is not here (dvc pull)",
    }[artifact.state]
    how = {
        "origin": ", found by the job that it names",
        "bytes": ", found by its bytes",
    }.get(artifact.how, "")
    commit = f", in commit {artifact.commit}" if artifact.commit else ""
    return state + how + commit


def print_job(record: Record, prefix: str, level: int, tree: Tree) -> Iterator[str]:
    """Print a job's lines: its rule and wildcards, its settings, its code, and its inputs."""
    assert record.job not in tree.seen, f"job {record.job} is printed twice"
    tree.seen.add(record.job)
    yield f"{prefix}made by {record.rule} · job {record.job[:SHORT]} · {name_wildcards(record)}"
    spec = flatten({name: value for name, value in record.spec.items() if name != "code"})
    settings = " · ".join(f"{name} {format_value(value)}" for name, value in spec.items())
    code = f"{str(record.spec.get('code', ''))[:SHORT]} · {', '.join(record.code)}"
    for name, text in (("settings", settings or "none"), ("code", code)):
        start = f"{prefix}  {name:<8}  "
        indent = prefix + " " * (len(start) - len(prefix))
        yield from textwrap.wrap(text, tree.width, initial_indent=start, subsequent_indent=indent)
    yield from print_inputs(record, prefix, level, tree)


def print_inputs(record: Record, prefix: str, level: int, tree: Tree) -> Iterator[str]:
    """Print the inputs of a job, each with what made it; many of one rule are folded."""
    entries = fold_inputs(record, tree)
    for position, (path, summary) in enumerate(entries):
        if position == len(entries) - 1:
            corner, below = f"{prefix}└─ ", f"{prefix}   "
        else:
            corner, below = f"{prefix}├─ ", f"{prefix}│  "
        if summary:
            yield cut(f"{corner}{summary}", tree.width)
            continue
        maker = tree.records.makers.get(path)
        line = f"{corner}{path} · {record.inputs[path][:SHORT]}"
        if maker is None:
            yield f"{line} · source"
        elif maker.job in tree.seen:
            yield f"{line} · {maker.rule}, see above"
        elif tree.depth is not None and level >= tree.depth:
            yield f"{line} · {maker.rule} …"
        else:
            yield line + note_stale(path, record, maker)
            yield from print_job(maker, below, level + 1, tree)


def note_stale(path: str, record: Record, maker: Record) -> str:
    """Return a warning if a job has read other bytes than its input's maker has recorded."""
    recorded = maker.outputs[path]
    if record.inputs[path] == recorded:
        return ""
    return f" · STALE: {maker.rule} has written {recorded[:SHORT]} since"


def fold_inputs(record: Record, tree: Tree) -> list[tuple[str, str]]:
    """List the inputs of a job, by rule.

    Returns:
        Paths, each with an empty summary. Where more than a few come from one rule, all but the
        first are one entry: the second path, with a summary that is printed in its stead.
    """
    paths_by_rule: dict[str, list[str]] = {}
    for path in record.inputs:
        maker = tree.records.makers.get(path)
        paths_by_rule.setdefault(maker.rule if maker else "", []).append(path)
    entries = []
    for rule, paths in paths_by_rule.items():
        if not rule or len(paths) <= FEW or tree.every:
            entries += [(path, "") for path in paths]
            continue
        first, *rest = paths
        runs = dict.fromkeys(name_run(tree.records.makers[path]) for path in rest)
        entries.append((first, ""))
        entries.append((rest[0], f"and {len(rest)} more of {rule}: {', '.join(runs)}"))
    return entries


def print_summary(artifact: Artifact, tree: Tree) -> Iterator[str]:
    """Print how many jobs stand behind a file, how many are folded, and what they ran on."""
    jobs = artifact.records.upstream(artifact.record)
    rules = Counter(record.rule for record in jobs)
    folded = len(jobs) - len(tree.seen)
    note = f"; {folded} are folded (--all)" if folded and tree.depth is None else ""
    yield f"{count(len(jobs), 'job')} of {count(len(rules), 'rule')}{note}"
    environments = Counter(describe_environment(record) for record in jobs)
    for environment, number in environments.most_common():
        share = f" ({count(number, 'job')})" if number < len(jobs) else ""
        yield f"ran on {environment}{share}"


def describe_environment(record: Record) -> str:
    """Describe the environment of a job in a line."""
    environment = record.environment | {"lock": str(record.environment.get("lock"))[:SHORT]}
    return " · ".join(
        f"{name} {value}" for name, value in environment.items() if value is not None
    )


def name_wildcards(record: Record) -> str:
    """Return a job's wildcards with their names."""
    wildcards = [f"{name} {value}" for name, value in record.wildcards.items()]
    return " · ".join(wildcards) or "no wildcards"


def name_run(record: Record) -> str:
    """Return the values of a job's wildcards but the study, or the job's digest if it has none."""
    values = [value for name, value in record.wildcards.items() if name != "study"]
    return "/".join(values) or record.job[:SHORT]


def flatten(settings: Mapping, above: str = "") -> dict[str, object]:
    """Flatten nested settings into dotted keys; lists and empty mappings stay values."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value
    return flat


def format_value(value: object) -> str:
    """Format a setting's value as JSON; a long list by its length, any other long value cut."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONG:
        return text
    return f"[{len(value)} entries]" if isinstance(value, list) else cut(text, LONG)


def cut(line: str, width: int) -> str:
    """Cut a line that is wider than allowed, and end it with an ellipsis."""
    return line if len(line) <= width else line[: width - 2] + " …"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def count_rules(rules: Counter) -> str:
    """Return rules with the number of their jobs, in a line."""
    return ", ".join(f"{rule} ({count(number, 'job')})" for rule, number in rules.items())


def to_json(artifact: Artifact) -> str:
    """Write a file, every record behind it and their sources as JSON."""
    names = ("path", "sha256", "recorded", "state", "how", "commit")
    description = {name: getattr(artifact, name) for name in names}
    jobs = artifact.records.upstream(artifact.record) if artifact.record else []
    description["records"] = [asdict(record) for record in jobs]
    if artifact.record:
        description["sources"] = list_sources(jobs, artifact.records)
    else:
        description["sources"] = {artifact.path: artifact.recorded}
    return json.dumps(description, indent=1, ensure_ascii=False) + "\n"


def list_sources(jobs: list[Record], records: Records) -> dict[str, str]:
    """List the inputs of jobs that no record made, with their digests, sorted."""
    inputs = {path: digest for record in jobs for path, digest in record.inputs.items()}
    return {path: digest for path, digest in sorted(inputs.items()) if path not in records.makers}


def to_mermaid(artifact: Artifact, every: bool = False) -> str:
    """Write a Mermaid flowchart of the rules behind a file, or of every single job."""
    jobs = artifact.records.upstream(artifact.record) if artifact.record else []
    name = name_job if every else name_rule
    if every:
        labels = {name(record): f"{record.rule}<br/>{name_run(record)}" for record in jobs}
    else:
        numbers = Counter(record.rule for record in jobs)
        labels = {
            rule: rule + (f" x {number}" if number > 1 else "") for rule, number in numbers.items()
        }
    nodes = [f'  {node}["{label}"]' for node, label in labels.items()]
    sources = list_sources(jobs, artifact.records)
    folders = list(dict.fromkeys(name_folder(path) for path in sources))
    nodes += [f'  source{number}[("{folder}")]' for number, folder in enumerate(folders)]
    nodes += [f'  file(["{artifact.path}"])']
    edges: dict[str, None] = {}
    for record in jobs:
        edges |= dict.fromkeys(list_edges(record, artifact.records, name, folders))
    if artifact.record:
        edges[f"  {name(artifact.record)} --> file"] = None
    return "\n".join(["flowchart LR", *nodes, *edges]) + "\n"


def list_edges(
    record: Record, records: Records, name: Callable[[Record], str], folders: list[str]
) -> Iterator[str]:
    """List the edges that lead to a job from the makers of its inputs, or from its sources."""
    for path in record.inputs:
        maker = records.makers.get(path)
        start = name(maker) if maker else f"source{folders.index(name_folder(path))}"
        if start != name(record):
            yield f"  {start} --> {name(record)}"


def name_rule(record: Record) -> str:
    """Return the flowchart's node of a job's rule."""
    return record.rule


def name_job(record: Record) -> str:
    """Return the flowchart's node of a job."""
    return f"job{record.job}"


def name_folder(path: str) -> str:
    """Return the folder of a source, or the source itself where it lies in none."""
    folder = str(PurePosixPath(path).parent)
    return path if folder == "." else folder
