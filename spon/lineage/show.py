"""What made a file, as text, JSON or Mermaid: the tree of records down to model, text, settings and code."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from spon.lineage.find import Found
from spon.lineage.records import Record, Records

SHORT = 8  # digits of a digest that are shown
FEW = 3  # inputs of one rule that are shown one by one
LONG = 60  # characters of a value that is shown whole


@dataclass
class Tree:
    """A tree that is being drawn.

    Attributes:
        records: All records.
        depth: How many jobs deep it goes; None for all.
        every: Whether alike inputs are shown one by one.
        width: Characters of a line.
        seen: Jobs that have been drawn.
    """

    records: Records
    depth: int | None = None
    every: bool = False
    width: int = 120
    seen: set[str] = field(default_factory=set)


def print_tree(
    found: Found, depth: int | None = None, every: bool = False, width: int = 120
) -> str:
    """What made a file, as a tree; each job once."""
    head = f"{found.path} · {(found.recorded or found.sha256)[:SHORT]} · {describe_state(found)}"
    if found.record is None:
        rules = Counter(record.rule for record in found.records.readers[found.path])
        return f"{head}\na source: no record made it; read by {count_rules(rules)}\n"
    tree = Tree(found.records, depth, every, width)
    lines = [head, *print_job(found.record, "", 1, tree), "", *summarise(found, tree)]
    return "\n".join(lines) + "\n"


def describe_state(found: Found) -> str:
    """Whether the file's bytes are those of its record, and by what it was found."""
    told = {
        "same": "the file is as recorded",
        "differs": f"THE FILE DIFFERS from its record: it is {(found.sha256 or '')[:SHORT]}",
        "absent": "the file is not here (dvc pull)",
    }[found.state]
    by = {"origin": ", found by the job that it names", "bytes": ", found by its bytes"}.get(
        found.how, ""
    )
    return told + by + (f", in commit {found.commit}" if found.commit else "")


def print_job(record: Record, prefix: str, level: int, tree: Tree) -> Iterator[str]:
    """A job's lines: what it is, its settings, its code, and its inputs."""
    tree.seen.add(record.job)
    yield f"{prefix}made by {record.rule} · job {record.job[:SHORT]} · {name_wildcards(record)}"
    spec = flatten({name: value for name, value in record.spec.items() if name != "code"})
    settings = " · ".join(f"{name} {show_value(value)}" for name, value in spec.items())
    code = f"{str(record.spec.get('code', ''))[:SHORT]} · {', '.join(record.code)}"
    for name, text in (("settings", settings or "none"), ("code", code)):
        start = f"{prefix}  {name:<8}  "
        indent = prefix + " " * (len(start) - len(prefix))
        yield from textwrap.wrap(text, tree.width, initial_indent=start, subsequent_indent=indent)
    yield from print_inputs(record, prefix, level, tree)


def print_inputs(record: Record, prefix: str, level: int, tree: Tree) -> Iterator[str]:
    """The inputs of a job, each with what made it; many of one rule are folded into a line."""
    entries = fold(record, tree)
    for place, (path, more) in enumerate(entries):
        last = place == len(entries) - 1
        corner, below = (
            (f"{prefix}└─ ", f"{prefix}   ") if last else (f"{prefix}├─ ", f"{prefix}│  ")
        )
        if more:
            yield cut(f"{corner}{more}", tree.width)
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
    """A warning where a job read other bytes than the record of their maker names."""
    wrote = maker.outputs[path]
    return (
        ""
        if record.inputs[path] == wrote
        else f" · STALE: {maker.rule} has written {wrote[:SHORT]} since"
    )


def fold(record: Record, tree: Tree) -> list[tuple[str, str]]:
    """The inputs of a job in order, and where many come from one rule, a line that stands for all but the first."""
    groups: dict[str, list[str]] = {}
    for path in record.inputs:
        maker = tree.records.makers.get(path)
        groups.setdefault(maker.rule if maker else "", []).append(path)
    entries = []
    for rule, paths in groups.items():
        folded = rule and len(paths) > FEW and not tree.every
        entries += [(path, "") for path in (paths[:1] if folded else paths)]
        if folded:
            makers = dict.fromkeys(name_run(tree.records.makers[path]) for path in paths[1:])
            entries.append((paths[1], f"and {len(paths) - 1} more of {rule}: {', '.join(makers)}"))
    return entries


def summarise(found: Found, tree: Tree) -> Iterator[str]:
    """How many jobs stand behind a file, how many of them are shown, and what they ran on."""
    jobs = found.records.upstream(found.record)
    rules = Counter(record.rule for record in jobs)
    hidden = len(jobs) - len(tree.seen)
    note = f"; {hidden} are folded (--all)" if hidden and tree.depth is None else ""
    yield f"{count(len(jobs), 'job')} of {count(len(rules), 'rule')}{note}"
    for environment, number in Counter(
        describe_environment(record) for record in jobs
    ).most_common():
        yield f"ran on {environment}" + (
            f" ({count(number, 'job')})" if number < len(jobs) else ""
        )


def describe_environment(record: Record) -> str:
    """What a job ran on, in a line."""
    told = record.environment | {"lock": str(record.environment.get("lock"))[:SHORT]}
    return " · ".join(f"{name} {value}" for name, value in told.items() if value is not None)


def name_wildcards(record: Record) -> str:
    """A job's wildcards, by name."""
    return (
        " · ".join(f"{name} {value}" for name, value in record.wildcards.items()) or "no wildcards"
    )


def name_run(record: Record) -> str:
    """A job's wildcards without the study, as short as they can be told apart."""
    return (
        "/".join(value for name, value in record.wildcards.items() if name != "study")
        or record.job[:SHORT]
    )


def flatten(settings: Mapping, above: str = "") -> dict[str, object]:
    """Settings by dotted key; lists stay whole."""
    flat: dict[str, object] = {}
    for name, value in settings.items():
        flat |= (
            flatten(value, f"{above}{name}.")
            if isinstance(value, Mapping) and value
            else {f"{above}{name}": value}
        )
    return flat


def show_value(value: object) -> str:
    """A setting's value as JSON, or how long it is."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONG:
        return text
    return f"[{len(value)} entries]" if isinstance(value, list) else cut(text, LONG)


def cut(line: str, width: int) -> str:
    """A line that is no wider than it may be."""
    return line if len(line) <= width else line[: width - 2] + " …"


def count(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def count_rules(rules: Counter) -> str:
    """Rules with the number of their jobs, in a line."""
    return ", ".join(f"{rule} ({count(number, 'job')})" for rule, number in rules.items())


def to_json(found: Found) -> str:
    """A file, every record behind it and the sources that they stand on."""
    jobs = found.records.upstream(found.record) if found.record else []
    told = {
        name: getattr(found, name)
        for name in ("path", "sha256", "recorded", "state", "how", "commit")
    }
    told["records"] = [asdict(record) for record in jobs]
    told["sources"] = (
        list_sources(jobs, found.records) if found.record else {found.path: found.recorded}
    )
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def list_sources(jobs: list[Record], records: Records) -> dict[str, str]:
    """The inputs of jobs that no record made, with their digests."""
    read = {path: digest for record in jobs for path, digest in record.inputs.items()}
    return {path: digest for path, digest in sorted(read.items()) if path not in records.makers}


def to_mermaid(found: Found, every: bool = False) -> str:
    """A flowchart of the rules behind a file, or of every single job."""
    jobs = found.records.upstream(found.record) if found.record else []
    name = name_job if every else name_rule
    labels = {name(record): f"{record.rule}<br/>{name_run(record)}" for record in jobs}
    if not every:
        numbers = Counter(record.rule for record in jobs)
        labels = {
            rule: rule + (f" x {number}" if number > 1 else "") for rule, number in numbers.items()
        }
    nodes = [f'  {node}["{label}"]' for node, label in labels.items()]
    folders = dict.fromkeys(name_folder(path) for path in list_sources(jobs, found.records))
    nodes += [f'  source{place}[("{folder}")]' for place, folder in enumerate(folders)]
    nodes += [f'  file(["{found.path}"])']
    edges = dict.fromkeys(
        edge for record in jobs for edge in list_edges(record, found.records, name, list(folders))
    )
    ends = [f"  {name(found.record)} --> file"] if found.record else []
    return "\n".join(["flowchart LR", *nodes, *edges, *ends]) + "\n"


def list_edges(record: Record, records: Records, name, folders: list[str]) -> Iterator[str]:
    """What a job stands on, as edges."""
    for path in record.inputs:
        maker = records.makers.get(path)
        start = name(maker) if maker else f"source{folders.index(name_folder(path))}"
        if start != name(record):
            yield f"  {start} --> {name(record)}"


def name_rule(record: Record) -> str:
    """A rule as a node."""
    return record.rule


def name_job(record: Record) -> str:
    """A job as a node."""
    return f"job{record.job}"


def name_folder(path: str) -> str:
    """The folder of a source, or the source itself where it lies in none."""
    folder = str(PurePosixPath(path).parent)
    return path if folder == "." else folder
