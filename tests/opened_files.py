"""Which files each job of a run of Snakemake reads, by what `strace` sees."""

import re
import shutil
import sys
from collections import defaultdict
from pathlib import Path

STRACE = shutil.which("strace")
CALLS = "open,openat,openat2,clone,clone3,fork,vfork"
CALL = re.compile(r"(\w+)\((.*)\) += (\d+)(?:<(.*)>)?$")
# Records name the versions of Python and of its packages, and the machine.
SYSTEM = ["/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev", "/run", "/var", "/opt"]
SYSTEM += [sys.prefix, sys.base_prefix, str(Path.home())]
# Records have the digest of the code, and of the lock of versions.
OF_CODE = ["spon", "workflow", "Snakefile", "constraints.txt", ".snakemake"]


def trace(output: Path) -> list[str]:
    """The command that another one stands behind, so that all files that it opens are listed."""
    return [STRACE, "-ff", "--seccomp-bpf", "-y", "-s", "4096", "-e", CALLS, "-o", str(output)]


def read_trace(output: Path, folder: Path) -> dict[str, set[Path]]:
    """The files that each job reads and has not written itself, by the job's log.

    A job is the process that opens its log, and whatever that one starts.

    Args:
        output: As in `trace`.
        folder: Where Snakemake ran.
    """
    parents, logs = {}, {}
    reads, writes = defaultdict(set), defaultdict(set)
    for path in output.parent.glob(f"{output.name}.*"):
        process = int(path.suffix[1:])
        for line in path.read_text(errors="replace").splitlines():
            if not (call := CALL.match(line)):
                continue
            name, arguments, result, target = call.groups()
            if "open" not in name:
                parents[int(result)] = process
            elif "O_WRONLY" in arguments or "O_RDWR" in arguments:
                writes[process].add(target)
                if target.startswith(f"{folder}/logs/"):
                    logs[process] = target.removeprefix(f"{folder}/")
            else:
                reads[process].add(target)
    jobs: dict[str, tuple[set, set]] = defaultdict(lambda: (set(), set()))
    for process in reads.keys() | writes.keys():
        job = process
        while job not in logs and job in parents:
            job = parents[job]
        if job in logs:
            for all_files, files in zip(jobs[logs[job]], (reads, writes), strict=True):
                all_files |= files[process]
    return {
        log: {Path(file) for file in of_job - written if is_data(Path(file), folder)}
        for log, (of_job, written) in jobs.items()
    }


def is_data(file: Path, folder: Path) -> bool:
    """Whether a file is none of the code's, the machine's or the lineage's own."""
    if file.is_relative_to(folder):
        first, *_ = file.relative_to(folder).parts or ["."]
        is_known = first in OF_CODE or "lineage" in file.parts
    else:
        is_known = any(file.is_relative_to(place) for place in SYSTEM)
    return not is_known and file.is_file()
