"""Verify that every file still is what its record says, and name what stands on the others."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from spon.lineage.find import is_repository
from spon.lineage.problems import (
    MADE,
    Problem,
    describe_unrecorded,
    find_foreign,
    list_disputed,
    list_misplaced,
    list_unrecorded,
)
from spon.lineage.records import Record, Records, digest_file, name_processor, run_git
from spon.lineage.show import SHORT, count
from spon.lineage.stamp import read_origin


@dataclass(frozen=True)
class Report:
    """The outcome of a verification.

    Attributes:
        problems: The problems, file by file.
        below: Every other file that stands on one of these.
        given: Files that a user has changed by hand, and has declared to the jobs that read them.
        jobs: Number of records.
        files: Number of files that were read.
        size: Bytes that were read.
        absent: Number of files that are not here because they were never pulled.
        expected: Number of files that the records name.
        processors: Those on which files were made, other than this machine's.
    """

    problems: list[Problem]
    below: list[str]
    given: list[str]
    jobs: int
    files: int
    size: int
    absent: int
    expected: int
    processors: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether everything is here and as recorded."""
        return not self.problems and not self.absent


def verify(root: Path, records: Records, study: str | None = None) -> Report:
    """Hash every output and source of a study, or of all, and compare them with the records.

    Whatever else lies in its folders has no record, which is a problem too.

    Raises:
        ValueError: There are no records of the study.
    """
    jobs = choose_study(records, study)
    expected = list_expected(jobs, records)
    actual = digest_present(root, expected)
    missing = [path for path in expected if path not in actual]
    absent = missing if is_unpulled(root, missing, list(actual), records) else []
    given = list_given(jobs, actual)
    misplaced = list_misplaced(records, study)
    problems = list_broken(records, study) + misplaced
    problems += list_disputed(jobs, records, {problem.path for problem in misplaced})
    for path, digest in expected.items():
        if path in absent or path in given:
            continue
        problem = check_file(root, path, digest, actual.get(path), records)
        if problem:
            problems.append(problem)
    for record in jobs:
        problems += list_inconsistent(record, records, {path: actual[path] for path in given})
    problems += list_unrecorded(root, records, study, expected)
    return Report(
        problems=problems,
        below=collect_below(problems, records),
        given=given,
        jobs=len(jobs),
        files=len(actual),
        size=sum((root / path).stat().st_size for path in actual),
        absent=len(absent),
        expected=len(expected),
        processors=list_other_processors(jobs),
    )


def choose_study(records: Records, study: str | None) -> list[Record]:
    """Select the records of a study, or of all without a name.

    Raises:
        ValueError: There are none, and no broken ones either.
    """
    jobs = [record for record in records.by_file.values() if study in (None, record.study)]
    if not jobs and not list_broken(records, study):
        studies = sorted({record.study for record in records.by_file.values() if record.study})
        of = f" of the study '{study}'" if study else ""
        raise ValueError(
            f"there are no records{of}: known are {', '.join(studies) or 'none'}; a study in a "
            f"folder of its own is known there, or by --clone FOLDER"
        )
    return jobs


def list_other_processors(jobs: list[Record]) -> tuple[str, ...]:
    """List the processors of these jobs that are not this machine's."""
    named = {record.environment.get("processor") for record in jobs}
    return tuple(sorted(named - {None, "", name_processor()}))


def list_expected(jobs: list[Record], records: Records) -> dict[str, str]:
    """List the recorded digest of each output and each source of these jobs, sources last."""
    outputs = {path: digest for record in jobs for path, digest in record.outputs.items()}
    inputs = {path: digest for record in jobs for path, digest in record.inputs.items()}
    sources = {}
    for path, digest in sorted(inputs.items()):
        if path not in records.makers:
            sources[path] = digest
    return outputs | sources


def digest_present(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Hash those files that are here, several at once, the largest first."""
    sizes = {path: (root / path).stat().st_size for path in paths if (root / path).is_file()}
    present = sorted(sizes, key=lambda path: -sizes[path])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(digest_file, [root / path for path in present])
        return dict(zip(present, digests, strict=True))


def list_given(jobs: list[Record], actual: dict[str, str]) -> list[str]:
    """List the files that jobs have read as given by hand, and that are still what they read."""
    given = {}
    for record in jobs:
        for path in record.spec.get("given", ()):
            given[path] = given.get(path, True) and record.inputs.get(path) == actual.get(path)
    return sorted(path for path, same in given.items() if same and path in actual)


def is_unpulled(root: Path, missing: list[str], present: list[str], records: Records) -> bool:
    """Return whether the missing files were never pulled.

    That is so if all of them are outputs, and no output is here but those that git itself brings.
    """
    if not missing or not is_repository(root):
        return False
    tracked = set(run_git(root, "ls-files", "-z").decode().split("\0"))

    def is_pulled_output(path: str) -> bool:
        return path in records.makers and path not in tracked

    return all(map(is_pulled_output, missing)) and not any(map(is_pulled_output, present))


def list_broken(records: Records, study: str | None) -> list[Problem]:
    """List the records of a study that cannot be read.

    A broken record reaches the outputs that it names, as far as it can be read: of what its job
    made, nothing is known any more.
    """
    problems = []
    for path, reason in records.broken.items():
        if study in (None, path.split("/")[1]):
            lost = tuple(records.lost[path])
            problems.append(Problem("broken", path, f"no record: {reason}", lost, itself=True))
    return problems


def check_file(
    root: Path, path: str, expected: str, actual: str | None, records: Records
) -> Problem | None:
    """Compare a file with the record of its job, and return the problem if there is one."""
    maker = records.makers.get(path)
    made = path.split("/")[0] in MADE
    if actual is None:
        detail = f"made by {maker.rule}" if maker else "a source that jobs have read"
        if made and not maker:
            detail = "jobs have read it, and no record says what made it"
        return Problem("missing", path, detail, (path,))
    if made and not maker:
        if any(path in outputs for outputs in records.lost.values()):
            return None  # the record that made it is broken, and is a problem of its own
        return Problem("unrecorded", path, describe_unrecorded(path, {}, records), (path,))
    if actual != expected:
        detail = f"it is {actual[:SHORT]}, its record says {expected[:SHORT]}"
        detail += note_other_job(root / path, maker)
        return Problem("damaged" if maker else "changed", path, detail, (path,))
    return find_foreign(root / path, path, maker) if maker else None


def note_other_job(file: Path, maker: Record | None) -> str:
    """Return a note if a file says that another job made it than its record does.

    Such a file is whole: it belongs to another commit, as after a checkout by git alone.
    """
    job = read_origin(file).get("job")
    if job is None or maker is None or job == maker.job:
        return ""
    return (
        f"; it says that job {job[:SHORT]} made it, not {maker.job[:SHORT]} "
        f"(`dvc checkout` brings this commit's)"
    )


def list_inconsistent(record: Record, records: Records, given: Mapping[str, str]) -> list[Problem]:
    """List the inputs that a job has read with other bytes than are recorded elsewhere.

    For an input that a job made, that is by its maker; for a source, by its first reader. What was
    given to the job by hand may be different. A job to which it was not given has to have read it
    as it is now all the same: else some numbers stand on one file, and some on another.

    Args:
        given: Digests of the files that were given to any job, as they are now.
    """
    problems = []
    for path, digest in record.inputs.items():
        if path in record.spec.get("given", ()):
            continue
        maker = records.makers.get(path)
        if path in given:
            recorded, by = given[path], "other jobs were given"
        elif maker:
            recorded, by = maker.outputs[path], f"{maker.rule} wrote"
        else:
            reader = records.readers[path][0]
            recorded, by = reader.inputs[path], f"{reader.rule} read"
        if digest != recorded:
            detail = (
                f"{record.rule} has read {path} as {digest[:SHORT]}, but {by} {recorded[:SHORT]}"
            )
            outputs = tuple(record.outputs)
            problems.append(Problem("stale", outputs[0], detail, outputs, itself=True))
    return problems


def collect_below(problems: list[Problem], records: Records) -> list[str]:
    """List every file that stands on a problem, but those whose own problem is named."""
    reached, affected = [], []
    for problem in problems:
        reached += problem.reach
        if problem.itself:
            affected += problem.reach
    reached = list(dict.fromkeys(reached))
    below = dict.fromkeys([*affected, *records.downstream(reached)])
    problem_paths = {problem.path for problem in problems}
    return [path for path in below if path not in problem_paths]


def describe_report(report: Report) -> str:
    """Describe a verification: a line per problem, then everything that stands on them."""
    extent = (
        f"{count(report.files, 'file')}, {format_size(report.size)}, {count(report.jobs, 'job')}"
    )
    given = "".join(f"given by hand: {path}\n" for path in report.given)
    given += note_processors(report.processors)
    if report.sound:
        return f"sound: every file is as its record says ({extent})\n{given}"
    lines = [f"{problem.kind:<10} {problem.path}: {problem.detail}" for problem in report.problems]
    if report.below:
        verb = "stands" if len(report.below) == 1 else "stand"
        lines.append(f"\n{count(len(report.below), 'file')} {verb} on this:")
        lines += [f"  {path}" for path in report.below]
    if report.absent:
        rest = "" if report.problems else ", and what is here is as recorded"
        lines.append(
            f"{report.absent} of {report.expected} files are not here{rest}: "
            f"`dvc pull` (or `make pull`) brings what was published"
        )
    if report.problems:
        lines.append(f"\n{count(len(report.problems), 'problem')} in {extent}")
    return "\n".join(lines) + f"\n{given}"


def note_processors(others: tuple[str, ...]) -> str:
    """Return a line if files were made on another processor than would make them again here."""
    if not others:
        return ""
    return (
        f"made on {' and '.join(others)}, and this machine has {name_processor()}: what is made "
        f"again here may differ from it in last digits\n"
    )


def format_size(size: int | float) -> str:
    """Format a number of bytes in a unit that is read easily."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
