"""Whether every file still is what its record says, and what stands on those that are not."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from spon.lineage.find import is_repository
from spon.lineage.records import Record, Records, digest_file, run_git
from spon.lineage.show import SHORT, count
from spon.lineage.stamp import read_origin

MADE = ("results", "figures")  # folders in which every file that is read was made by a job


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file.

    Attributes:
        kind: `missing`, `damaged`, `changed` (a source), `stale`, `unrecorded` or `broken` (a record).
        path: The file.
        detail: The rest of the sentence.
        reach: Paths that what is wrong has reached already, and whose readers stand on it.
        itself: Whether these paths stand on it themselves, rather than being the file in question.
    """

    kind: str
    path: str
    detail: str
    reach: tuple[str, ...]
    itself: bool = False


@dataclass(frozen=True)
class Report:
    """What a verification found.

    Attributes:
        problems: What is wrong, file by file.
        below: Every other file that stands on one of these.
        jobs: Number of records.
        files: Number of files that were read.
        size: Bytes that were read.
        absent: Files that are not here because they were never pulled.
        expected: Files that the records name.
    """

    problems: list[Problem]
    below: list[str]
    jobs: int
    files: int
    size: int
    absent: int
    expected: int

    @property
    def sound(self) -> bool:
        """Whether everything is here and as recorded."""
        return not self.problems and not self.absent


def verify(root: Path, records: Records, study: str | None = None) -> Report:
    """Re-hash every output and source of a study, or of all, and compare them with the records.

    Raises:
        ValueError: There are no records of the study.
    """
    chosen = choose_study(records, study)
    wanted = expect(chosen, records)
    actual = digest_present(root, wanted)
    missing = [path for path in wanted if path not in actual]
    absent = missing if is_unpulled(root, missing, list(actual), records) else []
    problems = [
        *list_broken(records, study),
        *(
            judge(root, path, wanted[path], actual.get(path), records)
            for path in wanted
            if path not in absent
        ),
        *(problem for record in chosen for problem in list_inconsistent(record, records)),
    ]
    problems = [problem for problem in problems if problem]
    sizes = sum((root / path).stat().st_size for path in actual)
    below = collect_below(problems, records)
    return Report(problems, below, len(chosen), len(actual), sizes, len(absent), len(wanted))


def choose_study(records: Records, study: str | None) -> list[Record]:
    """The records of a study; of all without a name."""
    chosen = [record for record in records.by_file.values() if study in (None, record.study)]
    if not chosen and not list_broken(records, study):
        known = sorted({record.study for record in records.by_file.values() if record.study})
        raise ValueError(
            f"there are no records of the study '{study}': known are {', '.join(known) or 'none'}"
        )
    return chosen


def expect(chosen: Iterable[Record], records: Records) -> dict[str, str]:
    """The digest that each output and each source of these jobs shall have, sources last."""
    chosen = list(chosen)
    outputs = {path: digest for record in chosen for path, digest in record.outputs.items()}
    read = {path: digest for record in chosen for path, digest in record.inputs.items()}
    return outputs | {
        path: digest for path, digest in sorted(read.items()) if path not in records.makers
    }


def digest_present(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of those files that are here, several at once, the largest first."""
    present = sorted(
        (path for path in paths if (root / path).is_file()),
        key=lambda path: -(root / path).stat().st_size,
    )
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(
            zip(present, pool.map(digest_file, [root / path for path in present]), strict=True)
        )


def is_unpulled(root: Path, missing: list[str], present: list[str], records: Records) -> bool:
    """Whether what is missing was never pulled: no output is here but those that git itself brings."""
    if not missing or not is_repository(root):
        return False
    tracked = set(run_git(root, "ls-files", "-z").decode().split("\0"))
    here = [path for path in present if path in records.makers and path not in tracked]
    return not here and all(path in records.makers and path not in tracked for path in missing)


def list_broken(records: Records, study: str | None) -> list[Problem]:
    """Records that cannot be read; what they made cannot be told from what nobody made."""
    return [
        Problem("broken", path, f"no record: {reason}", tuple(records.lost[path]), True)
        for path, reason in records.broken.items()
        if study in (None, path.split("/")[1])
    ]


def judge(
    root: Path, path: str, expected: str, actual: str | None, records: Records
) -> Problem | None:
    """What is wrong with a file's bytes, if anything."""
    source = path not in records.makers
    if actual == expected and not (source and path.split("/")[0] in MADE):
        return None
    if actual is None:
        made = "a source that jobs have read" if source else f"made by {records.makers[path].rule}"
        return Problem("missing", path, made, (path,))
    if actual == expected:
        lost = any(path in outputs for outputs in records.lost.values())
        told = "jobs have read it, and no record says what made it"
        return None if lost else Problem("unrecorded", path, told, (path,))
    told = f"it is {actual[:SHORT]}, its record says {expected[:SHORT]}"
    return Problem(
        "changed" if source else "damaged",
        path,
        told + note_other_job(root / path, path, records),
        (path,),
    )


def note_other_job(file: Path, path: str, records: Records) -> str:
    """Whether a file is whole but made by another job than its record's, as after a checkout by git alone."""
    job, maker = read_origin(file).get("job"), records.makers.get(path)
    if job is None or maker is None or job == maker.job:
        return ""
    return f"; it says that job {job[:SHORT]} made it, not {maker.job[:SHORT]} (`dvc checkout` brings this commit's)"


def list_inconsistent(record: Record, records: Records) -> list[Problem]:
    """Inputs that a job has read before their maker wrote them anew, or that two jobs have read with other bytes."""
    problems = []
    for path, digest in record.inputs.items():
        maker = records.makers.get(path)
        wrote = maker.outputs[path] if maker else records.readers[path][0].inputs[path]
        if digest != wrote:
            by = maker.rule if maker else records.readers[path][0].rule
            verb = "wrote" if maker else "read"
            told = f"{record.rule} has read {path} as {digest[:SHORT]}, but {by} {verb} {wrote[:SHORT]}"
            problems.append(
                Problem("stale", next(iter(record.outputs)), told, tuple(record.outputs), True)
            )
    return problems


def collect_below(problems: Iterable[Problem], records: Records) -> list[str]:
    """Every file that stands on what is wrong, those left out that are named already."""
    reached = list(dict.fromkeys(path for problem in problems for path in problem.reach))
    named = {problem.path for problem in problems}
    own = [path for problem in problems if problem.itself for path in problem.reach]
    return [
        path for path in dict.fromkeys([*own, *records.downstream(reached)]) if path not in named
    ]


def describe_report(report: Report) -> str:
    """What a verification found, as text: one problem per line, then everything that stands on them."""
    read = f"{count(report.files, 'file')}, {show_size(report.size)}, {count(report.jobs, 'job')}"
    if report.sound:
        return f"sound: every file is as its record says ({read})\n"
    lines = [f"{problem.kind:<10} {problem.path}: {problem.detail}" for problem in report.problems]
    if report.below:
        lines += [
            f"\n{count(len(report.below), 'file')} stand{'s' if len(report.below) == 1 else ''} on this:"
        ]
        lines += [f"  {path}" for path in report.below]
    if report.absent:
        whole = "" if report.problems else ", and what is here is as recorded"
        lines.append(
            f"{report.absent} of {report.expected} files are not here{whole}: "
            f"`dvc pull` (or `make pull`) brings what was published"
        )
    if report.problems:
        lines.append(f"\n{count(len(report.problems), 'problem')} in {read}")
    return "\n".join(lines) + "\n"


def show_size(size: int | float) -> str:
    """Bytes in a unit that is read easily."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
