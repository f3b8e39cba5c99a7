"""Lineage records: a JSON file per job that says what it read, its settings and what it wrote.

A record stands at the path of the job's log with the head and suffix exchanged and holds no clock
time, so that the same job on the same machine writes the same bytes. Paths in it are relative to
the folder that `results/` is in: the working directory, or a module's prefix.
"""

import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from spon.lineage import digest

LOCK = Path(__file__).parents[2] / "constraints.txt"
# Where Linux describes its processors.
CPUS = Path("/proc/cpuinfo")
STUDYLESS = "-"  # stands for the study of a job that has none
DIGEST = re.compile("[0-9a-f]{64}")  # a SHA-256


@dataclass(frozen=True)
class Record:
    """What one job read, was set to and wrote.

    Attributes:
        job: Digest of rule, wildcards, spec and inputs.
        spec: The rule's settings by name, and the digest of its code as `code`.
        code: The script and each module behind it, by name, as `digest.describe_code` returns
            them.
        inputs: SHA-256 of each file read, by path.
        outputs: SHA-256 of each file written, by path.
        environment: What it ran on, as information only.
    """

    job: str
    rule: str
    wildcards: dict[str, str]
    spec: dict[str, object]
    code: dict[str, dict]
    inputs: dict[str, str]
    outputs: dict[str, str]
    environment: dict[str, object]

    @property
    def study(self) -> str | None:
        """The study that the job belongs to, if to one."""
        return self.wildcards.get("study")


@dataclass
class Records:
    """All records of a working tree or of a commit.

    Attributes:
        by_file: Records by the path of their file.
        broken: Files that hold no record, with the reason.
        lost: What such files, as far as they can be read, name as outputs.
    """

    by_file: dict[str, Record] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    lost: dict[str, list[str]] = field(default_factory=dict)

    @cached_property
    def makers(self) -> dict[str, Record]:
        """The record that made a path."""
        return {path: record for record in self.by_file.values() for path in record.outputs}

    @cached_property
    def readers(self) -> dict[str, list[Record]]:
        """The records that read a path."""
        readers: dict[str, list[Record]] = {}
        for record in self.by_file.values():
            for path in record.inputs:
                readers.setdefault(path, []).append(record)
        return readers

    def upstream(self, record: Record) -> list[Record]:
        """A record and every record that it stands on, nearest first, each once."""
        records, waiting = {record.job: record}, [record]
        for current in waiting:  # grows while it is walked
            for path in current.inputs:
                maker = self.makers.get(path)
                if maker and maker.job not in records:
                    records[maker.job] = maker
                    waiting.append(maker)
        return list(records.values())

    def downstream(self, paths: Iterable[str]) -> list[str]:
        """Every path that stands on one of these, nearest first, each once, these left out."""
        start = list(paths)
        found, waiting = dict.fromkeys(start), [*start]
        for path in waiting:  # grows while it is walked
            for record in self.readers.get(path, []):
                for output in record.outputs:
                    if output not in found:
                        found[output] = None
                        waiting.append(output)
        return list(found)[len(dict.fromkeys(start)) :]


def find_folder(log: str | Path, output: str | Path) -> Path:
    """The folder that a job's `logs/…` and `results/…` or `figures/…` share: a module's prefix.

    >>> find_folder("sub/logs/pydoc/tabulate.log", "sub/results/pydoc/summary.json").as_posix()
    'sub'
    """
    return Path(os.path.commonpath([log, output]))


def record_path(log: str | Path, folder: str | Path = ".") -> Path:
    """Where the record of a job stands: `results/{study}/lineage/…` for the log `logs/{study}/…`.

    Both are in `folder`.

    >>> record_path("logs/pydoc/TOP-50/s0.5/seed0/train_spon.log").as_posix()
    'results/pydoc/lineage/TOP-50/s0.5/seed0/train_spon.json'
    """
    _, *folders, name = Path(log).relative_to(folder).parts
    study, *rest = folders or [STUDYLESS]
    return Path(folder, "results", study, "lineage", *rest, name).with_suffix(".json")


def is_record(path: str) -> bool:
    """Whether a path, relative and POSIX, is where a record stands."""
    parts = PurePosixPath(path).parts
    return (
        len(parts) > 3
        and parts[0] == "results"
        and parts[2] == "lineage"
        and path.endswith(".json")
    )


def digest_file(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_files(paths: Iterable[str | Path], folder: str | Path = ".") -> dict[str, str]:
    """SHA-256 of files by their name in `folder`, sorted; in threads: hashing holds no lock."""
    named = dict(sorted((name_path(path, folder), path) for path in paths))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(named, pool.map(digest_file, named.values()), strict=True))


def name_path(path: str | Path, folder: str | Path = ".") -> str:
    """A path as records in `folder` name it: POSIX, and relative to it.

    A path in full that lies elsewhere keeps its name.
    """
    full, folder = Path.cwd() / path, Path.cwd() / folder
    if full.is_relative_to(folder):
        return full.relative_to(folder).as_posix()
    if Path(path).is_absolute():
        return Path(path).as_posix()
    return Path(os.path.relpath(full, folder)).as_posix()


def digest_job(rule: str, wildcards: Mapping, spec: Mapping, inputs: Mapping) -> str:
    """Digest of what decides a job's outputs, the same in any order of keys."""
    parts = {
        "rule": rule,
        "wildcards": dict(wildcards),
        "spec": dict(spec),
        "inputs": dict(inputs),
    }
    return digest.digest_json(parts)


def describe_job(
    rule: str,
    wildcards: Mapping[str, str],
    spec: Mapping,
    inputs: Iterable[str | Path],
    folder: str | Path = ".",
    given: Iterable[str | Path] = (),
) -> dict:
    """The first half of a job's record, known before it has written anything, with its digest.

    Inputs that the user has `given` in place of what a job had made stand in the spec.
    """
    texts = {name: str(value) for name, value in wildcards.items()}
    digests = digest_files(inputs, folder)
    by_hand = sorted({name_path(path, folder) for path in given} & digests.keys())
    noted = dict(spec) | ({"given": by_hand} if by_hand else {})
    parts = {"rule": rule, "wildcards": texts, "spec": noted, "inputs": digests}
    return {"job": digest_job(**parts)} | parts


def check_inputs(description: Mapping, folder: str | Path = ".") -> None:
    """Refuse inputs of a job that are not what the jobs that made them wrote.

    Inputs that no record names, and those that the user has given, are left to their readers.

    Args:
        description: Of `describe_job`.
        folder: Which paths are relative to.

    Raises:
        ValueError: The first such input.
    """
    inputs, given = description["inputs"], description["spec"].get("given", [])
    for place in sorted({place_records(path) for path in inputs}):
        written = find_outputs(Path(folder, place), inputs)
        for path, digests in written.items():
            if inputs[path] not in digests and path not in given:
                raise ValueError(
                    f"{Path(folder, path).as_posix()} is not what its record says that its job "
                    f"has written: delete it, and Snakemake makes it again, or `dvc checkout` "
                    f"what was published; if it was changed on purpose, name it under given in "
                    f"the config"
                )


def place_records(path: str) -> str:
    """The folder with the record of the job that made a file, if one did.

    >>> place_records("figures/pydoc/fig1.png"), place_records("pretrained/pydoc/curve.csv")
    ('results/pydoc/lineage', 'results/-/lineage')
    """
    first, *rest = PurePosixPath(path).parts
    is_of_study = first in ("results", "figures") and len(rest) > 1
    return f"results/{rest[0] if is_of_study else STUDYLESS}/lineage"


def find_outputs(place: Path, paths: Iterable[str]) -> dict[str, set[str]]:
    """SHA-256 of files as the records in a folder have them, by path; paths without are left out.

    A rule that was renamed and moved has left its record, so that there may be several.
    """
    wanted, found = set(paths), {}
    for file in place.glob("**/*.json"):
        with suppress(FileNotFoundError):  # its job has just begun again
            written = read_outputs(file.read_bytes())
            if not written:
                raise ValueError(
                    f"{file.as_posix()} is no record: `git checkout` it, or delete it and what "
                    f"its job has written, and Snakemake makes both again"
                )
            for path, digest_ in written.items():
                if path in wanted:
                    found.setdefault(path, set()).add(digest_)
    return dict(sorted(found.items()))


def name_origin(description: Mapping) -> dict[str, str]:
    """What an artifact says of itself: study, rule and job."""
    study = description["wildcards"].get("study")
    return ({"study": study} if study else {}) | {
        name: description[name] for name in ("rule", "job")
    }


def describe_environment(device: str, threads: int) -> dict[str, object]:
    """What a job runs on, as information; torch only if the script has imported it."""
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "processor": name_processor(),
        "lock": digest_file(LOCK)[:16] if LOCK.exists() else None,
        "torch": str(torch.__version__) if torch else None,
        "cuda": torch.version.cuda if torch else None,
        "device": device,
        "threads": threads,
    }


def name_processor() -> str:
    """Return the model name of this machine's processor, as far as it says."""
    with suppress(OSError):
        named = re.search(r"^model name\s*: (.*)$", CPUS.read_text(), re.M)
        if named:
            return named[1]
    return platform.processor() or platform.machine()


def start_record(path: str | Path) -> None:
    """Remove what an earlier run of the job has left, so that a failed job has no record."""
    Path(path).unlink(missing_ok=True)


def finish_record(
    path: str | Path,
    description: Mapping,
    outputs: Iterable[str | Path],
    code: Mapping,
    environment: Mapping,
    folder: str | Path = ".",
) -> Record:
    """Write the record of a job that has succeeded, in place of any that names its outputs.

    A rule that was renamed has left its record beside that of the new one, under its old name.
    """
    record = Record(
        **description,
        outputs=digest_files(outputs, folder),
        code=dict(code),
        environment=dict(environment),
    )
    write_record(path, record)
    for other in Path(path).parent.glob("*.json"):
        with suppress(FileNotFoundError):  # a job that runs beside this one removes its own
            if other != Path(path) and record.outputs.keys() & set(
                read_outputs(other.read_bytes())
            ):
                other.unlink()
    return record


def write_record(path: str | Path, record: Record) -> None:
    """Write a record whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8", newline="\n")
    part.replace(path)


def parse_record(content: bytes) -> Record:
    """A record from the bytes of its file.

    Raises:
        ValueError: The bytes are no record, or one that does not fit its own digests.
    """
    try:
        values = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    names = set(Record.__dataclass_fields__)
    if not isinstance(values, dict) or set(values) != names:
        raise ValueError(f"its keys are not {', '.join(Record.__dataclass_fields__)}")
    check_shape(values)
    job = digest_job(*(values[name] for name in ("rule", "wildcards", "spec", "inputs")))
    if job != values["job"]:
        raise ValueError("its job digest does not fit its rule, wildcards, spec and inputs")
    code = check_code(values["code"], values["spec"].get("code"))
    return Record(**values | {"code": code})


def check_shape(values: Mapping) -> None:
    """Refuse a record whose parts are not what `Record` says, before anything reads them.

    Raises:
        ValueError: A part is of another kind, a file has no digest, or there is no output.
    """
    for name in ("wildcards", "spec", "code", "inputs", "outputs", "environment"):
        if not isinstance(values[name], dict):
            raise ValueError(f"its {name} is no object")
    for text in (values["job"], values["rule"], *values["wildcards"].values()):
        if not isinstance(text, str):
            raise ValueError(f"its job, rule or wildcards hold {text}, which is no text")
    for path, digest_of_file in (values["inputs"] | values["outputs"]).items():
        if not DIGEST.fullmatch(str(digest_of_file)):
            raise ValueError(f"it gives {path} no SHA-256")
    if not values["outputs"]:
        raise ValueError("it names no output")


def check_code(code: Mapping, expected: object) -> dict[str, dict]:
    """The code of a record, if it fits its digest in the record's spec.

    Records from before 0.1.0 have one digest per module, and do not say what each imports.

    Raises:
        ValueError: It does not fit.
    """
    is_old = False
    try:
        is_old = all(isinstance(module, str) for module in code.values())
        combined = digest.digest_json(code) if is_old else digest.combine_code(code)
    except (AttributeError, KeyError, TypeError, RecursionError):
        combined = None
    if code and combined != expected:
        raise ValueError("its modules do not fit the digest of its code")
    if is_old:
        return {name: {"digest": module, "imports": []} for name, module in code.items()}
    return dict(code)


def read_outputs(content: bytes) -> dict[str, str]:
    """SHA-256 of the outputs that a record names, by path, as far as it can be read."""
    outputs = content.decode(errors="replace").rpartition('"outputs"')[2]
    return dict(re.findall(r'"([^"]+)": "([0-9a-f]{64})"', outputs))


def collect_records(contents: Iterable[tuple[str, bytes]]) -> Records:
    """Records from files by their path."""
    records = Records()
    for path, content in contents:
        try:
            records.by_file[path] = parse_record(content)
        except ValueError as error:
            records.broken[path] = " ".join(str(error).split())
            records.lost[path] = list(read_outputs(content))
    return records


def read_records(root: str | Path) -> Records:
    """All records of a working tree."""
    files = sorted(Path(root).glob("results/*/lineage/**/*.json"))
    return collect_records(
        (path.relative_to(root).as_posix(), path.read_bytes()) for path in files
    )


def read_commit(root: str | Path, commit: str) -> Records:
    """All records of a commit, without checking it out.

    Raises:
        ValueError: Git knows no such commit.
    """
    try:
        run_git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    except ValueError as error:
        raise ValueError(f"'{commit}' is no commit of this clone") from error
    listed = run_git(root, "ls-tree", "-r", "-z", commit, "--", "results").decode().split("\0")
    entries = [entry.split("\t", 1) for entry in listed if entry]
    blobs = {path: kind.split()[2] for kind, path in entries if is_record(path)}
    answer = run_git(root, "cat-file", "--batch", question="\n".join(blobs.values()).encode())
    return collect_records(zip(blobs, split_batch(answer), strict=True))


def split_batch(answer: bytes) -> list[bytes]:
    """The contents in an answer of `git cat-file --batch`."""
    contents, start = [], 0
    while start < len(answer):
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[2])
        contents.append(answer[end + 1 : end + 1 + size])
        start = end + size + 2
    return contents


def run_git(root: str | Path, *arguments: str, question: bytes = b"") -> bytes:
    """What git answers in a folder.

    Raises:
        ValueError: Git refuses, with its reason.
    """
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], input=question, capture_output=True, check=False
    )
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ValueError(f"git {arguments[0]}: {reason.removeprefix('fatal: ')}")
    return done.stdout
