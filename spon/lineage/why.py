"""Explain why a file differs between two commits.

A job above the file whose own settings, code or sources differ is a cause, and is named with the
way from the file to it; a job that only reads what a cause has changed is none.
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
    format_value,
)

ABSENT = "not there"
FEW = 3  # paths that are named one by one
WIDTH = 120

# Kind, name, old value and new value, as in a `Cause`.
Difference = tuple[str, str, str, str]


@dataclass
class Cause:
    """A difference of a job itself, rather than of what other jobs made for it.

    Attributes:
        kind: What differs: a setting, a module, a source, …
        name: Which one.
        old: Its old value.
        new: Its new value.
        way: Paths from the file that is explained to the first that the cause reaches.
        rules: How many jobs of each rule the cause reaches first.
    """

    kind: str
    name: str
    old: str
    new: str
    way: list[str]
    rules: Counter = field(default_factory=Counter)


def find_causes(path: str, old: Records, new: Records) -> list[Cause]:
    """Find the causes at and above a path, nearest first; none if its record is the same."""
    causes: dict[tuple, Cause] = {}
    ways, seen, compared = [[path]], {path}, set()
    for way in ways:  # grows while it is walked
        current = way[-1]
        before, after = old.makers.get(current), new.makers.get(current)
        jobs = (before and before.job, after and after.job)
        # One job makes several files, and is compared once for all that it has not rewritten.
        if jobs in compared and not is_rewritten(current, before, after):
            continue
        compared.add(jobs)
        for difference in compare(current, old, new):
            key = identify(difference, after)
            cause = causes.setdefault(key, Cause(*difference, way))
            if after:
                cause.rules[after.rule] += 1
        for changed in list_changed(before, after):
            if changed not in seen and (changed in old.makers or changed in new.makers):
                seen.add(changed)
                ways.append([*way, changed])
    return list(causes.values())


def is_rewritten(path: str, before: Record | None, after: Record | None) -> bool:
    """Return whether the same job has written other bytes."""
    if before is None or after is None:
        return False
    return before.job == after.job and before.outputs[path] != after.outputs[path]


def identify(difference: Difference, after: Record | None) -> tuple:
    """Return a key that equal differences of several jobs share; a script belongs to its rule."""
    return (*difference, after.rule if after and difference[0] == "script" else "")


def list_changed(before: Record | None, after: Record | None) -> list[str]:
    """List the inputs that two versions of a job share and that differ."""
    if before is None or after is None:
        return []
    shared = before.inputs.keys() & after.inputs
    return sorted(path for path in shared if before.inputs[path] != after.inputs[path])


def compare(path: str, old: Records, new: Records) -> Iterator[Difference]:
    """Compare the two jobs that made a path, and nothing above them."""
    before, after = old.makers.get(path), new.makers.get(path)
    if before is None or after is None:
        origins = [f"made by {record.rule}" if record else ABSENT for record in (before, after)]
        yield "file", path, *origins
        return
    if before.rule != after.rule:
        yield "rule", path, before.rule, after.rule
    yield from compare_settings(before.spec, after.spec)
    yield from compare_code(before, after)
    yield from compare_inputs(path, old, new)
    if is_rewritten(path, before, after):
        yield "bytes", path, describe_environment(before), describe_environment(after)


def compare_settings(before: dict, after: dict) -> Iterator[Difference]:
    """Compare two versions of a job's settings, by dotted key; of two lists, their entries."""
    old, new = (
        flatten({name: value for name, value in spec.items() if name != "code"})
        for spec in (before, after)
    )
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name, ABSENT), new.get(name, ABSENT)
        if was == now and type(was) is type(now):  # 1 == True
            continue
        if isinstance(was, list) and isinstance(now, list):
            gone = [entry for entry in was if entry not in now]
            come = [entry for entry in now if entry not in was]
            if gone or come:  # else only their order differs
                was, now = gone, come
        values = [value if value is ABSENT else format_value(value) for value in (was, now)]
        yield "setting", name, *values


def compare_code(before: Record, after: Record) -> Iterator[Difference]:
    """Compare the script and modules of a job; one that has only moved does not differ."""
    old = {name: module["digest"] for name, module in before.code.items()}
    new = {name: module["digest"] for name, module in after.code.items()}
    gone = {digest for name, digest in old.items() if name not in new}
    moved = {digest for name, digest in new.items() if name not in old} & gone
    differ = []
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name), new.get(name)
        has_moved = (was is None or now is None) and (was or now) in moved
        if was != now and not has_moved:
            differ.append(name)
    for name in differ:
        is_script = name == "script"
        kind, file = (
            ("script", name) if is_script else ("module", f"spon/{name.replace('.', '/')}.py")
        )
        yield kind, file, *(digests.get(name, ABSENT)[:SHORT] for digests in (old, new))
    whole = [str(record.spec.get("code", ABSENT)) for record in (before, after)]
    if not differ and whole[0] != whole[1]:
        yield "code", "as a whole", *(digest[:SHORT] for digest in whole)


def compare_inputs(path: str, old: Records, new: Records) -> Iterator[Difference]:
    """Compare the inputs of a job.

    Named are inputs that came or went, sources that differ, and inputs that a job has read with
    other bytes although their maker recorded the same.
    """
    before, after = old.makers[path], new.makers[path]
    gone = sorted(before.inputs.keys() - after.inputs)
    come = sorted(after.inputs.keys() - before.inputs)
    if gone or come:
        yield "inputs", f"of {after.rule}", name_few(gone), name_few(come)
    for changed in list_changed(before, after):
        was, now = (record.inputs[changed][:SHORT] for record in (before, after))
        makers = [records.makers.get(changed) for records in (old, new)]
        if not any(makers):
            yield "source", changed, was, now
        elif all(makers) and makers[0].outputs[changed] == makers[1].outputs[changed]:
            yield "stale input", changed, was, now


def name_few(paths: list[str]) -> str:
    """Name the first of many paths, and count the rest."""
    rest = f" and {len(paths) - FEW} more" if len(paths) > FEW else ""
    return ", ".join(paths[:FEW]) + rest or "none"


def explain(path: str, old: Records, new: Records, names: tuple[str, str]) -> str:
    """Explain as text what differs between two versions of a file.

    Args:
        path: The file.
        old: The records of the first version.
        new: The records of the second.
        names: What the user calls the two versions.

    Raises:
        ValueError: Neither version has a record of the file.
    """
    makers = [records.makers.get(path) for records in (old, new)]
    if not any(makers):
        meant = suggest(path, [*old.makers, *new.makers])
        raise ValueError(f"no record in {names[0]} or {names[1]} made {path}{meant}")
    digests = [record.outputs[path] if record else ABSENT for record in makers]
    causes = find_causes(path, old, new)
    between = f"{names[0]} and {names[1]}"
    if digests[0] != digests[1]:
        change = f"{digests[0][:SHORT]} → {digests[1][:SHORT]}"
        return f"{path} differs between {between}: {change}\n{print_causes(causes)}"
    head = f"{path} is equal in {between}: {digests[0][:SHORT]}"
    if not causes:
        return f"{head}\n"
    return f"{head}, although what made it differs:\n{print_causes(causes)}"


def print_causes(causes: list[Cause]) -> str:
    """Print causes as a numbered list, each with the way to it."""
    lines = []
    for number, cause in enumerate(causes, start=1):
        where = f", in {count_rules(cause.rules)}" if cause.rules else ""
        lines.append(f"\n{number}. {describe_cause(cause)}{where}")
        for level, path in enumerate(cause.way):
            lines.append(f"   {'  ' * level}{'← ' if level else ''}{path}")
    return "\n".join([*lines, f"\n{count(len(causes), 'cause')}"]) + "\n"


def describe_cause(cause: Cause) -> str:
    """Describe a cause in a line, from old to new."""
    if cause.kind == "inputs":
        return cut(f"inputs {cause.name}: gone {cause.old}; new {cause.new}", WIDTH)
    if cause.kind == "bytes":
        return f"the same job has written other bytes: {cause.old} → {cause.new}"
    if cause.kind == "script":
        return f"script: {cause.old} → {cause.new}"
    return f"{cause.kind} {cause.name}: {cause.old} → {cause.new}"
