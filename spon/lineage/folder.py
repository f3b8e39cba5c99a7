"""Show a folder: its files by the job that made them, and those that no job made."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from spon.lineage.problems import list_unrecorded
from spon.lineage.records import Record, Records
from spon.lineage.show import FEW, SHORT, count, cut, name_run, name_wildcards

NEXT = "`spon show FILE` says what stands behind one of them"
Job = tuple[Record, list[str]]  # with the files that count


@dataclass(frozen=True)
class Folder:
    """A folder that is shown.

    Attributes:
        path: Relative to the root, as records name it.
        root: The folder that the records are of.
        records: All records there.
        every: Whether many jobs of a rule, and many files, are printed one by one, not folded.
    """

    path: str
    root: Path
    records: Records
    every: bool = False


def is_folder(path: str, root: Path, records: Records) -> bool:
    """Whether a path is a folder, here or, with files that are not here, in the records."""
    if (root / path).is_dir():
        return True
    return any(is_below(file, path) for file in (*records.makers, *records.readers))


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder; all lie in `.`.

    >>> is_below("results/s/a.csv", "results/s"), is_below("results/s2/a.csv", "results/s")
    (True, False)
    """
    return folder == "." or path.startswith(f"{folder}/")


def print_folder(folder: Folder, width: int = 120) -> str:
    """Print the files in a folder by the job that made them, and those that no job made.

    Raises:
        ValueError: No record names a file in the folder, and none is there.
    """
    jobs, sources, others = list_jobs(folder), list_sources(folder), list_others(folder)
    if not jobs and not sources and not others:
        raise ValueError(f"{folder.path} is a folder, and no record names a file in it")
    lines = [
        f"{folder.path} · {describe_files(jobs, folder)}",
        "",
        *print_jobs(jobs, folder),
        *print_others("read by jobs, made by none", sources, folder),
        *print_others("without a record (spon verify)", others, folder),
        "",
        NEXT,
    ]
    return "\n".join(cut(line, width) for line in lines) + "\n"


def list_jobs(folder: Folder) -> list[Job]:
    """List the jobs that made the files in a folder, each with these files.

    A job whose record is in the folder counts, with all that it made. First are the jobs that
    stand on the fewest others.
    """
    jobs = []
    for file, record in folder.records.by_file.items():
        paths = [path for path in record.outputs if is_below(path, folder.path)]
        if paths or is_below(file, folder.path):
            jobs.append((record, paths or list(record.outputs)))
    return sorted(jobs, key=lambda job: len(folder.records.upstream(job[0])))


def list_sources(folder: Folder) -> list[str]:
    """List the files in a folder that jobs have read, and none has made."""
    read = [path for path in folder.records.readers if path not in folder.records.makers]
    return [path for path in read if is_below(path, folder.path)]


def list_others(folder: Folder) -> list[str]:
    """List the files in a folder that no record names, among those of studies."""
    problems = list_unrecorded(folder.root, folder.records, None, folder.records.readers)
    return [problem.path for problem in problems if is_below(problem.path, folder.path)]


def describe_files(jobs: list[Job], folder: Folder) -> str:
    """Describe how many files of how many jobs there are, and how many of them are here."""
    if not jobs:
        return "no job made a file in it"
    paths = [path for _, paths in jobs for path in paths]
    here = sum((folder.root / path).is_file() for path in paths)
    missing = "" if here == len(paths) else f", {here} of them here (dvc pull)"
    return f"{count(len(paths), 'file')} of {count(len(jobs), 'job')}{missing}"


def print_jobs(jobs: list[Job], folder: Folder) -> Iterator[str]:
    """Print jobs with their files, rule by rule; many of one rule are folded."""
    by_rule: dict[str, list[Job]] = {}
    for job in jobs:
        by_rule.setdefault(job[0].rule, []).append(job)
    for rule, of_rule in by_rule.items():
        if len(of_rule) > FEW and not folder.every:
            yield from print_rule(of_rule, folder)
            continue
        for record, paths in of_rule:
            yield f"{rule} · job {record.job[:SHORT]} · {name_wildcards(record)}"
            yield from print_files(record, paths, folder)


def print_rule(jobs: list[Job], folder: Folder) -> Iterator[str]:
    """Print how many jobs of a rule there are, the files of the first, and the others' names."""
    (record, paths), *rest = jobs
    files = sum(len(paths) for _, paths in jobs)
    yield f"{record.rule} · {count(len(jobs), 'job')} · {count(files, 'file')}"
    yield from print_files(record, paths, folder)
    names = ", ".join(dict.fromkeys(name_run(other) for other, _ in rest))
    yield f"  and {len(rest)} more jobs (--all): {names}"


def print_files(record: Record, paths: list[str], folder: Folder) -> Iterator[str]:
    """Print the files of a job, each with its digest; of many, the first ones."""
    shown = paths if folder.every else paths[:FEW]
    for path in shown:
        missing = "" if (folder.root / path).is_file() else " · not here"
        yield f"  {shorten(path, folder)} · {record.outputs[path][:SHORT]}{missing}"
    if len(shown) < len(paths):
        names = ", ".join(Path(path).name for path in paths[len(shown) :])
        yield f"  and {len(paths) - len(shown)} more (--all): {names}"


def print_others(title: str, paths: list[str], folder: Folder) -> Iterator[str]:
    """Print files that no job made, under a title; of many, the first ones."""
    if paths:
        yield f"{title} · {count(len(paths), 'file')}"
    shown = paths if folder.every else paths[:FEW]
    for path in shown:
        yield f"  {shorten(path, folder)}"
    if len(shown) < len(paths):
        yield f"  and {len(paths) - len(shown)} more (--all)"


def shorten(path: str, folder: Folder) -> str:
    """Return a path relative to a folder if it is in it."""
    return path.removeprefix(f"{folder.path}/")


def to_json(folder: Folder) -> str:
    """Write the records of the jobs that made the files in a folder as JSON."""
    made = [asdict(record) for record, _ in list_jobs(folder)]
    return json.dumps({"path": folder.path, "records": made}, indent=1, ensure_ascii=False) + "\n"
