"""Why a file differs between two commits: the first differences above it, and the way from the file to each.

A job whose own settings, code or sources differ is a cause; one that only reads what a cause has changed is not.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from spon.lineage.find import suggest
from spon.lineage.records import Record, Records
from spon.lineage.show import (
    SHORT,
    count,
    count_rules,
    cut,
    describe_environment,
    flatten,
    show_value,
)

ABSENT = "not there"
FEW = 3  # entries that are named one by one
WIDTH = 120

Difference = tuple[str, str, str, str]


@dataclass
class Cause:
    """A first difference.

    Attributes:
        kind: What differs: a setting, a module, a source, …
        name: Which one.
        old: What it was.
        new: What it is.
        way: Paths from the file that was asked for to the first that the cause reaches.
        rules: How many jobs of each rule it reaches first.
    """

    kind: str
    name: str
    old: str
    new: str
    way: list[str]
    rules: Counter = field(default_factory=Counter)


def find_causes(path: str, old: Records, new: Records) -> list[Cause]:
    """The first differences above a path, nearest first; none if its record is the same."""
    found: dict[tuple, Cause] = {}
    waiting, seen, jobs = [[path]], {path}, set()
    for way in waiting:  # grows while it is walked
        before, after = old.makers.get(way[-1]), new.makers.get(way[-1])
        if (before and before.job, after and after.job) in jobs and not rewritten(
            way[-1], before, after
        ):
            continue
        jobs.add((before and before.job, after and after.job))
        for difference in compare(way[-1], old, new):
            cause = found.setdefault(name_difference(difference, after), Cause(*difference, way))
            cause.rules += Counter([after.rule]) if after else Counter()
        for read in list_changed(before, after):
            if read not in seen and (read in old.makers or read in new.makers):
                seen.add(read)
                waiting.append([*way, read])
    return list(found.values())


def rewritten(path: str, before: Record | None, after: Record | None) -> bool:
    """Whether the same job has written other bytes."""
    return bool(
        before
        and after
        and before.job == after.job
        and before.outputs[path] != after.outputs[path]
    )


def name_difference(difference: Difference, after: Record | None) -> tuple:
    """What makes two differences one cause; a script belongs to its rule."""
    return (*difference, after.rule if after and difference[0] == "script" else "")


def list_changed(before: Record | None, after: Record | None) -> list[str]:
    """The inputs that two versions of a job share and that differ."""
    if not before or not after:
        return []
    return sorted(
        path
        for path in before.inputs.keys() & after.inputs
        if before.inputs[path] != after.inputs[path]
    )


def compare(path: str, old: Records, new: Records) -> Iterator[Difference]:
    """What differs in the job that made a path, not above it."""
    before, after = old.makers.get(path), new.makers.get(path)
    if before is None or after is None:
        yield (
            "file",
            path,
            *(f"made by {record.rule}" if record else ABSENT for record in (before, after)),
        )
        return
    if before.rule != after.rule:
        yield "rule", path, before.rule, after.rule
    yield from compare_settings(before.spec, after.spec)
    yield from compare_code(before, after)
    yield from compare_inputs(path, old, new)
    if rewritten(path, before, after):
        yield "bytes", path, describe_environment(before), describe_environment(after)


def compare_settings(before: dict, after: dict) -> Iterator[Difference]:
    """The settings that differ, by dotted key, from old to new."""
    old, new = (
        flatten({name: value for name, value in spec.items() if name != "code"})
        for spec in (before, after)
    )
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name, ABSENT), new.get(name, ABSENT)
        if was == now and type(was) is type(now):
            continue
        if isinstance(was, list) and isinstance(now, list):
            gone, come = (
                [one for one in was if one not in now],
                [one for one in now if one not in was],
            )
            was, now = (gone, come) if gone or come else (was, now)
        yield (
            "setting",
            name,
            *(value if value is ABSENT else show_value(value) for value in (was, now)),
        )


def compare_code(before: Record, after: Record) -> Iterator[Difference]:
    """The script and the modules that differ."""
    differ = [
        name
        for name in dict.fromkeys([*before.code, *after.code])
        if before.code.get(name) != after.code.get(name)
    ]
    for name in differ:
        kind, file = (
            ("script", "script")
            if name == "script"
            else ("module", f"spon/{name.replace('.', '/')}.py")
        )
        yield kind, file, *(record.code.get(name, ABSENT)[:SHORT] for record in (before, after))
    digests = [str(record.spec.get("code", ABSENT)) for record in (before, after)]
    if not differ and digests[0] != digests[1]:
        yield "code", "as a whole", *(digest[:SHORT] for digest in digests)


def compare_inputs(path: str, old: Records, new: Records) -> Iterator[Difference]:
    """Inputs that came or went, sources that differ, and inputs read before their maker wrote anew."""
    before, after = old.makers[path], new.makers[path]
    gone, come = (
        sorted(one.inputs.keys() - other.inputs)
        for one, other in ((before, after), (after, before))
    )
    if gone or come:
        yield "inputs", f"of {after.rule}", *(name_few(paths) for paths in (gone, come))
    for read in list_changed(before, after):
        was, now = (record.inputs[read][:SHORT] for record in (before, after))
        makers = [records.makers.get(read) for records in (old, new)]
        if not any(makers):
            yield "source", read, was, now
        elif all(makers) and makers[0].outputs[read] == makers[1].outputs[read]:
            yield "stale input", read, was, now


def name_few(paths: list[str]) -> str:
    """Some of many paths."""
    rest = f" and {len(paths) - FEW} more" if len(paths) > FEW else ""
    return ", ".join(paths[:FEW]) + rest or "none"


def explain(path: str, old: Records, new: Records, names: tuple[str, str]) -> str:
    """What differs between two versions of a file, as text.

    Raises:
        ValueError: Neither version has a record of the file.
    """
    made = [records.makers.get(path) for records in (old, new)]
    if not any(made):
        near = suggest(path, [*old.makers, *new.makers])
        raise ValueError(f"no record in {names[0]} or {names[1]} made {path}{near}")
    digests = [record.outputs[path] if record else ABSENT for record in made]
    causes = find_causes(path, old, new)
    between = f"{names[0]} and {names[1]}"
    if digests[0] == digests[1]:
        head = f"{path} is equal in {between}: {digests[0][:SHORT]}"
        return (
            f"{head}, although what made it differs:\n{print_causes(causes)}"
            if causes
            else f"{head}\n"
        )
    head = f"{path} differs between {between}: {digests[0][:SHORT]} → {digests[1][:SHORT]}"
    return f"{head}\n{print_causes(causes)}"


def print_causes(causes: list[Cause]) -> str:
    """First differences as a numbered list, each with the way to it."""
    lines = []
    for place, cause in enumerate(causes, start=1):
        where = f", in {count_rules(cause.rules)}" if cause.rules else ""
        lines.append(f"\n{place}. {describe_cause(cause)}{where}")
        lines += [
            f"   {'  ' * level}{'← ' if level else ''}{path}"
            for level, path in enumerate(cause.way)
        ]
    return "\n".join([*lines, f"\n{count(len(causes), 'cause')}"]) + "\n"


def describe_cause(cause: Cause) -> str:
    """A first difference, from old to new."""
    if cause.kind == "inputs":
        return cut(f"inputs {cause.name}: gone {cause.old}; new {cause.new}", WIDTH)
    if cause.kind == "bytes":
        return f"the same job has written other bytes: {cause.old} → {cause.new}"
    if cause.kind == "script":
        return f"script: {cause.old} → {cause.new}"
    return f"{cause.kind} {cause.name}: {cause.old} → {cause.new}"
