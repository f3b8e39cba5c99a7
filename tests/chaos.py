"""Kill a small study at random until it is finished, and compare it with an undisturbed one.

    python tests/chaos.py FOLDER [--studies 10] [--kills 50] [--seed 0] [TARGET …]

Each kill is a SIGKILL of Snakemake, or of one of the processes that it started. A killed study is
started again as a user does it: `snakemake --unlock` if it is locked, and then the same command.
The studies run on a copy of the repository whose jobs save how far they are after every step.
"""

import argparse
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import small_workflow
import yaml

from spon import resume, signals

# Trainings of some 20 s, so that most of the kills hit one that has saved how far it is.
OVERLAY = {
    "sweep": {"allocations": ["UNIF-ALL", "TOP-50"], "further": []},
    "train": {"epochs": 100, "measure_every": 100},
}
# Starts of Snakemake after the last kill: jobs fail only by kills, so that one is enough.
STARTS = 2  # the second one counts kills that came late
PATIENCE = 15  # seconds that a process may outlive the Snakemake that was killed


def copy_repository(folder: Path) -> Path:
    """Copy what a study runs on, with jobs that save whenever they can, and return its folder."""
    folder.mkdir(parents=True)
    copy = small_workflow.Study(folder).folder
    saving = copy / "spon/resume.py"
    text = saving.read_text()
    assert f"SECONDS = {resume.SECONDS}" in text
    saving.write_text(text.replace(f"SECONDS = {resume.SECONDS}", "SECONDS = 0.0"))
    return copy.resolve()


class Study:
    """A study in a folder of its own.

    Attributes:
        folder: Where it runs.
        repository: What it runs on.
        targets: What is asked of Snakemake.
    """

    def __init__(self, folder: Path, repository: Path, targets: list[str]):
        self.folder, self.repository, self.targets = folder.resolve(), repository, targets
        self.folder.mkdir(parents=True)
        (self.folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))

    def start(self, *arguments: str) -> psutil.Popen:
        """Start Snakemake, whose output is added to `screen.txt`."""
        overlays = ["config/tiny.yaml", str(self.folder / "overlay.yaml")]
        command = [sys.executable, "-m", "snakemake", "--directory", str(self.folder)]
        command += ["--cores", "2", "--configfile", *overlays, *arguments, "--", *self.targets]
        with (self.folder / "screen.txt").open("ab") as screen:
            return psutil.Popen(command, cwd=self.repository, stdout=screen, stderr=screen)

    def resume(self) -> psutil.Popen:
        """Start Snakemake again after whatever has happened."""
        if any((self.folder / ".snakemake/locks").glob("*")):
            assert self.start("--unlock").wait() == 0
        return self.start()

    def count_resumed(self) -> int:
        """How often a job went on where it was stopped."""
        return (self.folder / "screen.txt").read_text().count("goes on from")

    def read_results(self) -> dict[str, bytes]:
        """The bytes of all results."""
        return small_workflow.read_results(self.folder)

    def list_processes(self) -> list[psutil.Process]:
        """The processes that work in this folder, or were started with it."""
        return [process for process in psutil.process_iter() if self.has(process)]

    def has(self, process: psutil.Process) -> bool:
        try:
            named = any(str(self.folder) in argument for argument in process.cmdline())
            return process.is_running() and (named or Path(process.cwd()) == self.folder)
        except (psutil.Error, OSError):
            return False

    def count_orphans(self) -> int:
        """The processes that are left some seconds after Snakemake has ended."""
        end = time.monotonic() + PATIENCE
        while self.list_processes() and time.monotonic() < end:
            time.sleep(0.2)
        return len(self.list_processes())


def disturb(study: Study, kills: int, chance: random.Random, longest: float) -> Counter:
    """Kill parts of a study until it is finished, and return what was counted."""
    counts = Counter(kills=0, of_snakemake=0, orphans=0)
    starts = 0
    while starts < STARTS:
        main = study.resume()
        starts += counts["kills"] >= kills
        await_job(main)
        while counts["kills"] < kills and waits_for(main, chance.uniform(0, longest)):
            victim = choose_victim(main, chance)
            with suppress(psutil.NoSuchProcess):  # it has just ended by itself
                victim.kill()
                counts["kills"] += 1
                counts["of_snakemake"] += victim is main
            if victim is main:
                break
        if main.wait() == 0:
            break
        counts["orphans"] += study.count_orphans()
    counts["finished"] = int(main.wait() == 0)
    counts["resumed"] = study.count_resumed()
    return counts


def waits_for(main: psutil.Popen, seconds: float) -> bool:
    """Wait for some seconds, and return whether Snakemake still runs then."""
    try:
        main.wait(seconds)
    except psutil.TimeoutExpired:
        return True
    return False


def list_jobs(main: psutil.Popen) -> list[psutil.Process]:
    """The jobs of a Snakemake, and the workers of these."""
    try:
        jobs = [child for child in main.children(recursive=True) if signals.is_job(child)]
        return [process for job in jobs for process in (job, *job.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


def await_job(main: psutil.Popen) -> None:
    """Wait until Snakemake has started a job, or has ended."""
    while not list_jobs(main) and waits_for(main, 0.1):
        pass


def choose_victim(main: psutil.Popen, chance: random.Random) -> psutil.Process:
    """Return Snakemake, or as often one of its jobs or their workers."""
    jobs = list_jobs(main)
    return chance.choice(jobs) if jobs and chance.random() < 0.5 else main


def compare(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """The names of files that are not the same in both."""
    return sorted(name for name in one | other if one.get(name) != other.get(name))


def try_studies(
    folder: Path, targets: list[str], *, studies: int, kills: int, seed: int, longest: float = 30
) -> tuple[Counter, list[str]]:
    """Disturb studies until there were enough of them and enough kills, and print a line for each.

    Args:
        folder: Where they run.
        targets: What is asked of Snakemake.
        studies: How many, at least.
        kills: How many, at least, over all studies.
        seed: Of when and of what is killed.
        longest: Seconds between two kills, or from the first job of a start to a kill, at most. If
            no job can be finished in them, all kills are of the first one.

    Returns:
        What was counted, and the names of files that differ from those of an undisturbed study.
    """
    repository = copy_repository(folder / "repository")
    undisturbed = Study(folder / "undisturbed", repository, targets)
    assert undisturbed.start().wait() == 0, undisturbed.folder / "screen.txt"
    expected = undisturbed.read_results()
    total, different = Counter(), []
    while total["studies"] < studies or total["kills"] < kills:
        number = total["studies"]
        study = Study(folder / f"disturbed{number}", repository, targets)
        each = -(-kills // studies)
        counts = disturb(study, each, random.Random(f"{seed} {number}"), longest)
        names = compare(expected, study.read_results())
        total.update(counts, studies=1)
        different += [f"disturbed{number}/{name}" for name in names]
        show(f"study {number}", counts, names)
    show(f"{total['studies']} studies", total, different)
    return total, different


def show(name: str, counts: Counter, different: list[str]) -> None:
    """Print a line."""
    sys.stdout.write(
        f"{name}: {counts['kills']} kills, {counts['of_snakemake']} of them of Snakemake; "
        f"jobs that went on where they were {counts['resumed']}; "
        f"finished {counts['finished']}; files different {len(different)} {different[:3]}; "
        f"orphans after {PATIENCE} s {counts['orphans']}\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Run from a command line; fails if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the studies run; it must not exist")
    parser.add_argument("targets", nargs="*", default=["tables"], help="what Snakemake makes")
    parser.add_argument("--studies", type=int, default=10)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    total, different = try_studies(
        given.folder, given.targets, studies=given.studies, kills=given.kills, seed=given.seed
    )
    unfinished = total["finished"] < total["studies"]
    sys.exit(bool(different or total["orphans"] or unfinished or not total["resumed"]))


if __name__ == "__main__":
    main()
