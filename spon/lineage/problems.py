"""Problems that a comparison of digests does not show.

Files that no record names, records that stand where another job's belongs, and files that say that
another job made them.
"""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from spon.lineage.records import Record, Records, name_origin
from spon.lineage.show import SHORT
from spon.lineage.stamp import read_origin

MADE = ("results", "figures")  # folders in which every file was made by a job
# What a study costs is of one machine: git ignores the records of these rules, and DVC may bring a
# file of theirs, which has one of these names.
OF_ONE_MACHINE = {
    "count_cost": ["cost"],
    "plot_cost": ["cost"],
    "measure_rate": ["rate"],
    "write_plan": ["plan"],
}
# Kinds of files in which every job says what made them.
STAMPED = (".html", ".parquet", ".pdf", ".png", ".safetensors")
# What git, DVC and Snakemake put beside results, and macOS and Windows into any folder.
BESIDE = (".gitignore", ".gitkeep", ".snakemake_timestamp", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Problem:
    """A problem with a file.

    Attributes:
        kind: `missing`, `damaged`, `changed` (a source), `stale`, `unrecorded`, `foreign` (made by
            another job than its record's), `broken`, `misplaced` or `disputed` (records).
        path: The file.
        detail: The rest of the sentence.
        reach: Paths that the problem has reached, so that their readers stand on it.
        itself: Whether these paths stand on the problem themselves, rather than being the file.
    """

    kind: str
    path: str
    detail: str
    reach: tuple[str, ...]
    itself: bool = False


def list_unrecorded(
    root: Path, records: Records, study: str | None, expected: Iterable[str]
) -> list[Problem]:
    """List the files in a study's folders, or in those of all, that no record has made.

    Those that are expected, as outputs or since jobs have read them, are checked elsewhere.
    """
    named = {*expected, *records.makers, *records.by_file, *records.broken}
    for outputs in records.lost.values():  # their broken record is a problem of its own
        named.update(outputs)
    problems = []
    for path in walk_studies(root, study):
        if path in named or PurePosixPath(path).name in BESIDE or path.endswith(".dvc"):
            continue
        origin = read_origin(root / path) if (root / path).is_file() else {}
        if PurePosixPath(path).stem in OF_ONE_MACHINE.get(origin.get("rule"), ()):
            continue
        detail = describe_unrecorded(path, origin, records)
        problems.append(Problem("unrecorded", path, detail, (path,)))
    return problems


def walk_studies(root: Path, study: str | None) -> Iterator[str]:
    """Walk through every file in the folders of a study, or of all, sorted; links are followed."""
    for head in (root / folder / (study or "") for folder in MADE):
        for folder, folders, files in os.walk(head, followlinks=True):
            place = Path(folder)
            if place.is_symlink() and place.parent.resolve().is_relative_to(place.resolve()):
                folders.clear()  # a link to a folder above it
                continue
            folders.sort()
            for name in sorted(files):
                path = (place / name).relative_to(root).as_posix()
                if path.count("/") > 1:  # beside the studies may lie anything
                    yield path


def describe_unrecorded(path: str, origin: dict[str, str], records: Records) -> str:
    """Describe a file that has no record, as the end of a sentence."""
    if path in records.readers:
        return "jobs have read it, and no record says what made it"
    if "job" in origin:
        job = origin["job"][:SHORT]
        return f"it says that {origin.get('rule')} made it as job {job}, which has no record"
    if path.split("/")[2] == "lineage" and Path(path).name.startswith("."):
        return "half a record, left by a job that was killed: it can be removed"
    return "no record says what made it"


def list_misplaced(records: Records, study: str | None) -> list[Problem]:
    """List the records of a study that do not fit their own path, or whose outputs do not.

    The path of a record and those of its outputs hold the study, the rule and every wildcard.
    """
    problems = []
    for path, record in records.by_file.items():
        folder = path.split("/")[1]
        if study not in (None, record.study, folder):
            continue
        reason = find_mismatch(path, record)
        if reason:
            reach = tuple(record.outputs)
            problems.append(Problem("misplaced", path, reason, reach, itself=True))
    return problems


def find_mismatch(path: str, record: Record) -> str | None:
    """Find what in a record does not fit its path, as the end of a sentence; None if all fits."""
    place = PurePosixPath(path)
    if place.stem != record.rule:
        return f"it is the record of another rule, {record.rule}"
    if record.study not in (None, place.parts[1]):
        return f"it is the record of another study, {record.study}"
    for name, value in record.wildcards.items():
        if name != "study" and not holds(path, name, value):
            return f"it is the record of another job, whose {name} is {value}"
    for output in record.outputs:
        for name, value in record.wildcards.items():
            if not holds(output, name, value):
                return f"it names {output}, but its {name} is {value}"
    return None


def holds(path: str, name: str, value: str) -> bool:
    """Whether a path holds a wildcard's value, perhaps after the wildcard's name or its start.

    >>> holds("results/pydoc/TOP-50/s0.5/seed0/nll.parquet", "seed", "0")
    True
    >>> holds("results/pydoc/TOP-50/s0.5/seed1/nll.parquet", "seed", "0")
    False
    """
    starts = "|".join(re.escape(name[:end]) for end in range(1, len(name) + 1))
    pattern = rf"(?:^|[/_]|(?<!\d)\.)(?:{starts})?{re.escape(value)}(?=$|[/_]|\.(?!\d))"
    return re.search(pattern, path) is not None


def list_disputed(jobs: list[Record], records: Records, misplaced: set[str]) -> list[Problem]:
    """List the outputs of jobs that more than one record in its place says to have made."""
    makers: dict[str, list[str]] = {}
    for path, record in records.by_file.items():
        for output in record.outputs if path not in misplaced else ():
            makers.setdefault(output, []).append(path)
    problems = []
    for output in dict.fromkeys(path for record in jobs for path in record.outputs):
        if len(makers.get(output, [])) > 1:
            detail = f"more than one record says to have made it: {', '.join(makers[output])}"
            problems.append(Problem("disputed", output, detail, (output,)))
    return problems


def find_foreign(file: Path, path: str, maker: Record) -> Problem | None:
    """Find out whether a file, of the bytes that its record names, says that another job made it.

    That is so if the record was written by hand: the job's digest is that of all that it read.
    """
    origin = read_origin(file)
    if not origin:
        if path.endswith(STAMPED) and path.split("/")[0] in MADE:
            detail = f"it does not say what made it, but all that {maker.rule} writes does"
            return Problem("foreign", path, detail, (path,))
        return None
    expected = name_origin({"wildcards": maker.wildcards, "rule": maker.rule, "job": maker.job})
    if origin == expected:
        return None
    detail = (
        f"it says that {origin.get('rule')} made it as job {str(origin.get('job'))[:SHORT]}, "
        f"its record says {maker.rule} as job {maker.job[:SHORT]}"
    )
    return Problem("foreign", path, detail, (path,))
