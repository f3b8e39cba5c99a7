"""Which record made a file: by its path, by what it says of itself, or by its bytes, here or in an earlier commit."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spon.lineage.records import (
    Record,
    Records,
    digest_file,
    is_record,
    read_commit,
    read_records,
    run_git,
)
from spon.lineage.stamp import read_origin


@dataclass(frozen=True)
class Found:
    """A file and the record that made it.

    Attributes:
        path: The path that the record gives it; as it was asked for where no record made it.
        record: What made it; None for a source.
        records: The records among which it stands.
        sha256: Digest of the file's bytes; None where the file is not here.
        recorded: Digest that the record gives it.
        how: By what it was found: `path`, `origin`, `bytes` or `source`.
        commit: The commit whose records these are; None for the working tree.
    """

    path: str
    record: Record | None
    records: Records
    sha256: str | None
    recorded: str | None
    how: str
    commit: str | None = None

    @property
    def state(self) -> str:
        """How the file and its record agree: `same`, `differs` or `absent`."""
        if self.sha256 is None:
            return "absent"
        return "same" if self.sha256 == self.recorded else "differs"


def find_clone(file: Path, clone: Path | None = None) -> Path:
    """The folder whose records are asked: the one named, else the one around the user, else the one around the file.

    Raises:
        ValueError: None of them holds records.
    """
    here = Path.cwd()
    around = [here, *here.parents, *make_absolute(file).parents]
    for folder in [clone.resolve()] if clone else around:
        if next(folder.glob("results/*/lineage"), None):
            return folder
    asked = f"{clone} holds no" if clone else "neither this folder nor one above it holds"
    raise ValueError(
        f"{asked} lineage records (results/STUDY/lineage): name a clone that does with --clone DIR"
    )


def make_absolute(file: Path) -> Path:
    """A file's path without links on the way to it; the file itself may be a link into DVC's cache."""
    return file.parent.resolve() / file.name


def locate(file: Path, root: Path) -> str:
    """A file's path as the records of a clone name it."""
    absolute = make_absolute(file)
    if not absolute.exists() and not file.is_absolute() and not absolute.is_relative_to(root):
        absolute = root / file  # asked for from elsewhere, with --clone
    return (
        absolute.relative_to(root).as_posix()
        if absolute.is_relative_to(root)
        else absolute.as_posix()
    )


def find_record(file: Path, root: Path) -> Found:
    """The record that made a file.

    Raises:
        ValueError: No record says so, with what the file says of itself.
    """
    records, path = read_records(root), locate(file, root)
    if is_record(path) and path in records.by_file:
        path = next(iter(records.by_file[path].outputs))
    here = root / path
    sha256 = digest_file(here) if here.is_file() else None
    if path in records.makers:
        record = records.makers[path]
        return Found(path, record, records, sha256, record.outputs[path], "path")
    if path in records.readers:
        return Found(path, None, records, sha256, records.readers[path][0].inputs[path], "source")
    if sha256 is None:
        raise ValueError(
            f"{file} is no file, and no record names it{suggest(path, [*records.makers, *records.readers])}"
        )
    origin = read_origin(here)
    found = match(origin, sha256, Path(path).name, records) or search_commits(
        origin, sha256, Path(path).name, root
    )
    if found:
        return found
    raise ValueError(explain_stranger(file, origin, sha256, records))


def match(
    origin: dict[str, str], sha256: str, name: str, records: Records, commit: str | None = None
) -> Found | None:
    """A file from elsewhere among records: by the job that it names, else by its bytes."""
    for record in records.by_file.values():
        if origin.get("job") == record.job:
            path = choose_output(record, sha256, name)
            return Found(path, record, records, sha256, record.outputs[path], "origin", commit)
    for path, record in records.makers.items():
        if record.outputs[path] == sha256:
            return Found(path, record, records, sha256, sha256, "bytes", commit)
    return None


def choose_output(record: Record, sha256: str, name: str) -> str:
    """Which output of a job a file is: the one with its bytes, else its name, else its suffix, else the first."""
    same = [path for path, recorded in record.outputs.items() if recorded == sha256]
    named = [path for path in record.outputs if Path(path).name == name]
    alike = [path for path in record.outputs if Path(path).suffix == Path(name).suffix]
    return [*same, *named, *alike, *record.outputs][0]


def search_commits(origin: dict[str, str], sha256: str, name: str, root: Path) -> Found | None:
    """A file from elsewhere in the history: in the first commit whose records name its job or bytes."""
    if not is_repository(root):
        return None
    for needle in filter(None, [origin.get("job"), sha256]):
        wanted = (
            "log",
            "--all",
            "--reverse",
            "--format=%h",
            "-S",
            needle,
            "--",
            ":(glob)results/*/lineage/**",
        )
        for commit in run_git(root, *wanted).decode().split():
            found = match(origin, sha256, name, read_commit(root, commit), commit)
            if found:
                return found
    return None


def is_repository(root: Path) -> bool:
    """Whether a folder lies in a clone of git."""
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def suggest(path: str, known: Iterable[str]) -> str:
    """The recorded paths that a mistyped one may mean, as the end of a sentence."""
    known = list(dict.fromkeys(known))
    same = [other for other in known if Path(other).name == Path(path).name]
    near = same or difflib.get_close_matches(path, known, n=3, cutoff=0.8)
    return f": did you mean {' or '.join(near[:3])}?" if near else ""


def explain_stranger(file: Path, origin: dict[str, str], sha256: str, records: Records) -> str:
    """One sentence for a file that no record made."""
    if "job" in origin:
        of = f" of the study {origin['study']}" if "study" in origin else ""
        return (
            f"{file} says that {origin.get('rule', 'a rule')}{of} made it as job {origin['job']}, "
            f"which no record of this clone names: fetch the commit that published it"
        )
    broken = (
        f"; {len(records.broken)} records cannot be read (spon verify)" if records.broken else ""
    )
    return f"{file} names no job, and no record has an output with its bytes (SHA-256 {sha256[:16]}){broken}"
