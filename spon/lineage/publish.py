"""Publish a study: verify it, say what is new, and hand it to DVC; find what was not fetched."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml

from spon.lineage.find import is_repository
from spon.lineage.records import Records, read_commit, read_records, run_git
from spon.lineage.show import count, count_rules
from spon.lineage.verify import describe_report, verify


def publish(root: Path, say: Callable[[str], None]) -> bool:
    """Verify a working tree, say what changed, and commit and push its files with DVC.

    Args:
        root: The working tree.
        say: Called with each piece of text for the user.

    Returns:
        Whether it is published: not if something is not as recorded.

    Raises:
        ValueError: DVC refuses.
    """
    records = read_records(root)
    report = verify(root, records)
    say(describe_report(report))
    if not report.sound:
        say("nothing is published, since not everything is as recorded\n")
        return False
    for sentence in describe_change(read_published(root), records):
        say(f"{sentence}\n")
    run_dvc(root, "commit", "-f", "dvc.yaml")
    run_dvc(root, "push")
    say(f"{describe_next(root)}\n")
    return True


def read_published(root: Path) -> Records:
    """Read the records of the last commit; none before the first."""
    verify_head = ["git", "-C", str(root), "rev-parse", "-q", "--verify", "HEAD"]
    if subprocess.run(verify_head, capture_output=True).returncode:
        return Records()
    return read_commit(root, "HEAD")


def describe_change(old: Records, new: Records) -> Iterator[str]:
    """Describe which jobs are new, made anew or gone, by rule, and count the files that differ."""
    rules = {"new": Counter(), "made anew": Counter(), "gone": Counter()}
    for path, record in new.by_file.items():
        if path not in old.by_file:
            rules["new"][record.rule] += 1
        elif record != old.by_file[path]:
            rules["made anew"][record.rule] += 1
    for path, record in old.by_file.items():
        if path not in new.by_file:
            rules["gone"][record.rule] += 1
    for label, numbers in rules.items():
        if numbers:
            yield f"{label}: {count_rules(numbers)}"
    digests = {path: record.outputs[path] for path, record in old.makers.items()}
    differ = 0
    for path, record in new.makers.items():
        if record.outputs[path] != digests.get(path):
            differ += 1
    yield f"{count(differ, 'file')} with other bytes than in the last commit"
    before, now = list_processors(old), list_processors(new)
    if before and now - before:
        yield (
            f"made on {' and '.join(sorted(now - before))}, and what was published before on "
            f"{' and '.join(sorted(before))}: last digits differ though nothing else may; to "
            f"publish a change of code alone, `dvc pull` first"
        )


def list_processors(records: Records) -> set[str]:
    """List the processors on which files were made, as far as their records name them."""
    named = {record.environment.get("processor") for record in records.by_file.values()}
    return named - {None, ""}


def run_dvc(root: Path, *arguments: str) -> None:
    """Run a command of DVC in a folder; DVC itself shows the user its progress.

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
    """Describe what is left for the user to commit."""
    paths = ("dvc.lock", "results", ":(top)published")
    status = run_git(root, "status", "--porcelain", "--untracked-files=all", "--", *paths)
    number = len(status.splitlines())
    if not number:
        return "published; git has nothing to commit"
    return (
        f"published; {count(number, 'file')} of dvc.lock, records and remote wait for "
        f"`git add` and `git commit`"
    )


def find_unfetched(clone: Path, folder: Path, studies: Iterable[str]) -> list[str]:
    """Find the studies that are published, and of which no result is here.

    Args:
        clone: The repository.
        folder: Where the studies run. Its `dvc.yaml` says what is published of them; outside of
            the clone, that is nothing.
        studies: Their names.
    """
    stages = folder / "dvc.yaml"
    if not (is_repository(clone) and folder.is_relative_to(clone) and stages.is_file()):
        return []
    published = list_published(stages)
    unfetched = []
    for study in studies:
        results = [path for path in published if path.startswith(f"results/{study}/")]
        if results and not any((folder / path).exists() for path in results):
            unfetched.append(study)
    return unfetched


def list_published(stages: Path) -> list[str]:
    """List the outputs of the stages of a `dvc.yaml` that DVC brings; git has the others."""
    try:
        described = yaml.safe_load(stages.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError:  # which DVC tells better
        return []
    paths = []
    for stage in (described.get("stages") or {}).values():
        for output in stage.get("outs") or []:
            named = {output: {}} if isinstance(output, str) else output
            paths += [path for path, how in named.items() if (how or {}).get("cache", True)]
    return paths
