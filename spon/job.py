"""The seam between Snakemake and the library: log, device, threads, and how a job ends."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from spon import lineage

# A user's mistake is told in one sentence; everything else is our own and keeps its traceback.
MISTAKES = (ValueError, OSError, ModuleNotFoundError)


@dataclass(frozen=True)
class Job:
    """What a script may know of its surroundings.

    Attributes:
        device: Where the model runs, `cpu` or `cuda`.
        processes: Processes that the job may start.
        metadata: What made a file, to be written into it.
        screen: The file descriptor of the user's screen.
    """

    device: str
    processes: int
    metadata: dict[str, str]
    screen: int

    def say(self, sentence: str | None) -> None:
        """Tell the user something, on the screen and in the log; nothing if there is no sentence."""
        if sentence:
            tell(self.screen, f"{self.metadata['rule']}: {sentence}")


@contextmanager
def job(snakemake) -> Iterator[Job]:
    """Run a script's body: its output goes to the rule's log, its failure to the screen in one sentence."""
    die_with_snakemake()
    screen = os.dup(2)
    with Path(snakemake.log[0]).open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            yield describe_job(snakemake, screen)
        except MISTAKES as mistake:
            traceback.print_exc()
            fail(screen, f"{snakemake.rule}: {' '.join(str(mistake).split())}")
        except Exception as error:
            traceback.print_exc()
            told = f"{type(error).__name__}: {' '.join(str(error).split())}"
            fail(screen, f"{snakemake.rule}: {told} (traceback in {snakemake.log[0]})")


def describe_job(snakemake, screen: int) -> Job:
    """The surroundings of a job, with torch, if the script has imported it, set to its device and threads."""
    torch = sys.modules.get("torch")
    device = "cuda" if snakemake.resources.get("gpu", 0) else "cpu"
    if torch:
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                "device is 'cuda', or 'auto' and this machine has NVIDIA's driver, but torch finds no GPU: "
                "set device to 'cpu', or install the CUDA build of torch"
            )
        torch.set_num_threads(snakemake.resources.get("torch_threads", 1))
        if device == "cuda":  # which may sum in another order from call to call
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
    spec = snakemake.params.get("spec", {})
    made_by = {"rule": snakemake.rule, "spec": lineage.digest_json(spec)} | dict(snakemake.wildcards.items())
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Job(device, processes, made_by, screen)


def fail(screen: int, sentence: str) -> None:
    """Tell what went wrong and end the job."""
    tell(screen, sentence)
    sys.exit(1)


def tell(screen: int, sentence: str) -> None:
    """Write a sentence to the log and to the screen."""
    sys.stderr.flush()
    for stream in (2, screen):
        os.write(stream, f"\n{sentence}\n".encode())


def die_with_snakemake() -> None:
    """End this process when Snakemake, or the shell between, is gone: a killed study leaves no orphan behind."""
    parents = psutil.Process().parents()[:2]

    def watch() -> None:
        while all(parent.is_running() for parent in parents):
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
