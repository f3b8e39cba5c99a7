"""Publish a study: check it, hand it to DVC, and say what is new."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from spon.lineage.records import Records, read_commit, read_records, run_git
from spon.lineage.show import count, count_rules
from spon.lineage.verify import describe_report, verify


def publish(root: Path, tell: Callable[[str], None]) -> bool:
    """Verify a working tree, commit and push its files with DVC, and tell what changed; whether it was done.

    Raises:
        ValueError: DVC refuses.
    """
    records = read_records(root)
    report = verify(root, records)
    tell(describe_report(report))
    if not report.sound:
        tell("nothing is published, since not everything is as recorded\n")
        return False
    for sentence in describe_change(read_published(root), records):
        tell(f"{sentence}\n")
    run_dvc(root, "commit", "-f")
    run_dvc(root, "push")
    tell(f"{describe_next(root)}\n")
    return True


def read_published(root: Path) -> Records:
    """The records of the last commit; none before the first."""
    if subprocess.run(
        ["git", "-C", str(root), "rev-parse", "-q", "--verify", "HEAD"], capture_output=True
    ).returncode:
        return Records()
    return read_commit(root, "HEAD")


def describe_change(old: Records, new: Records) -> Iterator[str]:
    """Which jobs are new, made anew or gone, by rule, and how many files have other bytes."""
    was, now = old.by_file, new.by_file
    new_jobs = [now[path] for path in now if path not in was]
    again = [now[path] for path in now if path in was and was[path] != now[path]]
    gone = [was[path] for path in was if path not in now]
    for label, records in (("new", new_jobs), ("made anew", again), ("gone", gone)):
        if records:
            yield f"{label}: {count_rules(Counter(record.rule for record in records))}"
    digests = {path: record.outputs[path] for path, record in old.makers.items()}
    differ = [
        path for path, record in new.makers.items() if digests.get(path) != record.outputs[path]
    ]
    yield f"{count(len(differ), 'file')} with other bytes than in the last commit"


def run_dvc(root: Path, *arguments: str) -> None:
    """Let DVC do something in a folder; it tells the user of its progress.

    Raises:
        ValueError: It refuses.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, check=False, stderr=subprocess.PIPE
    )
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ValueError(f"dvc {' '.join(arguments)}: {reason.removeprefix('ERROR: ')}")


def describe_next(root: Path) -> str:
    """What is left for the user to commit."""
    waiting = run_git(
        root,
        "status",
        "--porcelain",
        "--untracked-files=all",
        "--",
        "dvc.lock",
        "results",
        "published",
    )
    number = len(waiting.splitlines())
    if not number:
        return "published; git has nothing to commit"
    return f"published; {count(number, 'file')} of dvc.lock, records and remote wait for `git add` and `git commit`"
