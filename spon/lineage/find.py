"""Find the record that made a file: by the file's path, by the job that it names, or by its bytes.

A copy may come from the working tree's study or from that of an earlier commit.
"""

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
class Artifact:
    """A file and the record that made it.

    Attributes:
        path: The path that the record gives it.
        record: The record of the job that made it; None for a source.
        records: All records of the same working tree or commit.
        sha256: Digest of the file's bytes; None where the file is not here.
        recorded: Digest that the record gives it.
        how: What it was found by: `path`, `origin` (the job that it names), `bytes` or `source`.
        commit: The commit that holds the records; None for the working tree.
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
        """Compare the file with its record: `same`, `differs` or `absent`."""
        if self.sha256 is None:
            return "absent"
        return "same" if self.sha256 == self.recorded else "differs"


def find_clone(file: Path, clone: Path | None = None) -> Path:
    """Find the folder whose records are searched.

    It is the clone that the user names, else the first folder with records above the file, which
    may be a study in a folder of its own, else the first at or above the working directory.

    Raises:
        ValueError: None of them holds records.
    """
    here, absolute = Path.cwd(), make_absolute(file)
    around = [absolute, *absolute.parents, here, *here.parents]
    for folder in [clone.resolve()] if clone else around:
        if next(folder.glob("results/*/lineage"), None):
            return folder
    folders = f"{clone} holds no" if clone else "neither this folder nor one above it holds"
    raise ValueError(
        f"{folders} lineage records (results/STUDY/lineage): name a clone that does with "
        f"--clone DIR"
    )


def make_absolute(file: Path) -> Path:
    """Resolve the links on the way to a file, but not the file: it may link into DVC's cache."""
    return file.parent.resolve() / file.name


def locate(file: Path, root: Path) -> str:
    """Return a file's path as the records of a clone name it."""
    absolute = make_absolute(file)
    if not absolute.exists() and not file.is_absolute() and not absolute.is_relative_to(root):
        absolute = root / file  # the user stands elsewhere, and names a file of the clone
    if absolute.is_relative_to(root):
        return absolute.relative_to(root).as_posix()
    return absolute.as_posix()


def find_record(file: Path, root: Path) -> Artifact:
    """Find the record that made a file.

    The path decides, if a record names it. Any other file is a copy, and is looked for by the job
    that it names or by its bytes, in the working tree and then in the history.

    Raises:
        ValueError: No record made the file; with what the file says of itself.
    """
    records, path = read_records(root), locate(file, root)
    if is_record(path) and path in records.by_file:
        path = next(iter(records.by_file[path].outputs))
    here = root / path
    sha256 = digest_file(here) if here.is_file() else None
    if path in records.makers:
        record = records.makers[path]
        return Artifact(path, record, records, sha256, record.outputs[path], "path")
    if path in records.readers:
        recorded = records.readers[path][0].inputs[path]
        return Artifact(path, None, records, sha256, recorded, "source")
    if sha256 is None:
        files = [*records.makers, *records.readers]
        folders = [str(folder) for name in files for folder in Path(name).parents]
        meant = suggest(path, [*files, *folders])
        raise ValueError(f"{file} is no file, and no record names it{meant}")
    origin, name = read_origin(here), Path(path).name
    copy = (origin, sha256, name)
    artifact = match(*copy, records) or search_studies(*copy, root) or search_commits(*copy, root)
    if artifact is None:
        raise ValueError(explain_stranger(file, origin, sha256, records))
    return artifact


def match(
    origin: dict[str, str], sha256: str, name: str, records: Records, commit: str | None = None
) -> Artifact | None:
    """Match a copy with one of these records: by the job that it names, else by its bytes."""
    for record in records.by_file.values():
        if origin.get("job") == record.job:
            path = choose_output(record, sha256, name)
            recorded = record.outputs[path]
            return Artifact(path, record, records, sha256, recorded, "origin", commit)
    for path, record in records.makers.items():
        if record.outputs[path] == sha256:
            return Artifact(path, record, records, sha256, sha256, "bytes", commit)
    return None


def choose_output(record: Record, sha256: str, name: str) -> str:
    """Choose which output of a job a copy is.

    The first with its bytes, else with its name, else with its suffix, else the first of all.
    """
    same_bytes = [path for path, recorded in record.outputs.items() if recorded == sha256]
    same_name = [path for path in record.outputs if Path(path).name == name]
    same_suffix = [path for path in record.outputs if Path(path).suffix == Path(name).suffix]
    return [*same_bytes, *same_name, *same_suffix, *record.outputs][0]


def search_studies(origin: dict[str, str], sha256: str, name: str, root: Path) -> Artifact | None:
    """Match a copy with a record of a study that has a folder of its own in the clone."""
    for folder in sorted({path.parents[2] for path in root.glob("studies/*/results/*/lineage")}):
        if artifact := match(origin, sha256, name, read_records(folder)):
            return artifact
    return None


def search_commits(origin: dict[str, str], sha256: str, name: str, root: Path) -> Artifact | None:
    """Match a copy with the first commit whose records name its job, else its bytes."""
    if not is_repository(root):
        return None
    for needle in filter(None, [origin.get("job"), sha256]):
        search = ("log", "--all", "--reverse", "--format=%h", "-S", needle)
        folders = ("--", ":(glob)results/*/lineage/**")
        for commit in run_git(root, *search, *folders).decode().split():
            artifact = match(origin, sha256, name, read_commit(root, commit), commit)
            if artifact:
                return artifact
    return None


def is_repository(root: Path) -> bool:
    """Return whether a folder lies in a clone of git."""
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def suggest(path: str, recorded: Iterable[str]) -> str:
    """Suggest the recorded paths that a mistyped one may mean, as the end of a sentence."""
    recorded = list(dict.fromkeys(recorded))
    near = [candidate for candidate in recorded if Path(candidate).name == Path(path).name]
    if not near:
        near = difflib.get_close_matches(path, recorded, n=3, cutoff=0.8)
    return f": did you mean {' or '.join(near[:3])}?" if near else ""


def explain_stranger(file: Path, origin: dict[str, str], sha256: str, records: Records) -> str:
    """Explain in one sentence why a file's record cannot be found."""
    if "job" in origin:
        of = f" of the study {origin['study']}" if "study" in origin else ""
        return (
            f"{file} says that {origin.get('rule', 'a rule')}{of} made it as job {origin['job']}, "
            f"which no record of this clone names: fetch the commit that published it"
        )
    broken = ""
    if records.broken:
        broken = f"; {len(records.broken)} records cannot be read (spon verify)"
    return (
        f"{file} names no job, and no record has an output with its bytes "
        f"(SHA-256 {sha256[:16]}){broken}"
    )
