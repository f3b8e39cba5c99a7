"""The seam between Snakemake and the library: log, device, threads, and how a job ends."""

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from spon.lineage import digest, records, stamp

if TYPE_CHECKING:
    import pandas

    from spon.cache import Keep

# Beside Snakemake's own files, study by study.
KEPT = Path(".snakemake/kept")

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
        memory_gib: Memory that the job may use.
        identity: What everything that it keeps for others depends on.
    """

    device: str
    processes: int
    metadata: dict[str, str]
    screen: int
    memory_gib: float | int
    identity: dict[str, Any]

    @property
    def keep(self) -> "Keep":
        """Computes a tensor, or finds what another job of the study has kept; `spon.cache` says how."""
        from spon.cache import Cache

        return Cache(KEPT / self.metadata["study"], self.identity).keep

    @property
    def stamp(self) -> str:
        """What made a file, as the text that is written into it."""
        return stamp.write_stamp(self.metadata)

    def say(self, sentence: str | None) -> None:
        """Tell the user something, on the screen and in the log; nothing if there is no sentence."""
        if sentence:
            tell(self.screen, f"{self.metadata['rule']}: {sentence}")

    def write_json(self, content: dict[str, Any] | list[dict[str, Any]], path: str | Path) -> None:
        """Write an object as JSON, with what made it under the key `made_by`; of a list, every object in it.

        A member of a list that was taken out of it still says where it is from.
        """
        made_by = {"made_by": self.metadata}
        stamped = (
            [one | made_by for one in content] if isinstance(content, list) else content | made_by
        )
        text = json.dumps(stamped, indent=1, allow_nan=False, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def write_parquet(self, table: "pandas.DataFrame", path: str | Path, **options: Any) -> None:
        """Write a table as parquet, with what made it in the schema's metadata."""
        import pyarrow
        import pyarrow.parquet

        arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
        made_by = {"made_by": self.stamp}
        pyarrow.parquet.write_table(
            arrow.replace_schema_metadata(arrow.schema.metadata | made_by), path, **options
        )


@contextmanager
def job(snakemake) -> Iterator[Job]:
    """Run a script's body: its output goes to the rule's log, its failure to the screen in one sentence.

    What it read, was told and wrote stands in its record, if it succeeds.
    """
    die_with_snakemake()
    screen = os.dup(2)
    names = " ".join(str(name) for key, name in snakemake.wildcards.items() if key != "study")
    show_progress(screen, f"{snakemake.rule} {names}".strip())
    with Path(snakemake.log[0]).open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            with recorded(snakemake) as description:
                yield describe_job(snakemake, screen, description)
        except MISTAKES as mistake:
            traceback.print_exc()
            fail(screen, f"{snakemake.rule}: {' '.join(str(mistake).split())}")
        except Exception as error:
            traceback.print_exc()
            told = f"{type(error).__name__}: {' '.join(str(error).split())}"
            fail(screen, f"{snakemake.rule}: {told} (traceback in {snakemake.log[0]})")


@contextmanager
def recorded(snakemake) -> Iterator[dict[str, Any]]:
    """What a job is known by before it has written anything; its record is gone until it has succeeded."""
    path = records.record_path(snakemake.log[0])
    records.start_record(path)
    spec, inputs = snakemake.params.get("spec", {}), snakemake.input
    description = records.describe_job(
        snakemake.rule, dict(snakemake.wildcards.items()), spec, inputs
    )
    yield description
    device, threads = choose_device(snakemake), snakemake.resources.get("torch_threads", 1)
    environment = records.describe_environment(device, threads)
    code = digest.describe_code(sys.modules["__main__"].__file__)
    records.finish_record(path, description, snakemake.output, code, environment)


def choose_device(snakemake) -> str:
    """Where the model of a job runs."""
    return "cuda" if snakemake.resources.get("gpu", 0) else "cpu"


def describe_job(snakemake, screen: int, description: dict[str, Any]) -> Job:
    """The surroundings of a job, with torch, if the script has imported it, set to its device and threads."""
    torch = sys.modules.get("torch")
    device = choose_device(snakemake)
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
    made_by = records.name_origin(description) | dict(snakemake.wildcards.items())
    processes = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    identity = identify(snakemake, device, torch)
    memory_gib = snakemake.resources.get("memory_mib", float("inf")) / 1024
    return Job(device, processes, made_by, screen, memory_gib, identity)


def identify(snakemake, device: str, torch) -> dict[str, Any]:
    """What a tensor depends on that a job of this code and model computes on this machine."""
    # As it is now: the spec has the digest of what stood there when Snakemake started.
    told = {"code": digest.digest_code(sys.modules["__main__"].__file__), "device": device}
    if "model" in snakemake.input.keys():  # noqa: SIM118 (its items are paths)
        told["model"] = records.digest_file(snakemake.input.model)
    if torch:
        name = (
            torch.cuda.get_device_name()
            if device == "cuda"
            else torch.backends.cpu.get_cpu_capability()
        )
        told |= {"torch": torch.__version__, "hardware": name, "threads": torch.get_num_threads()}
        told["transformers"] = metadata.version("transformers")
    return told


class Screen(logging.Handler):
    """Writes lines to the user's screen, past the redirection of the job's output into its log."""

    def __init__(self, screen: int, level: int):
        super().__init__(level)
        self.screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        os.write(self.screen, f"{self.format(record)}\n".encode())


def show_progress(screen: int, name: str) -> None:
    """Tell the progress of long loops on the screen, under the job's name, and all of it in the log."""
    log = logging.getLogger("spon.progress")
    log.setLevel(logging.DEBUG)
    shown, kept = Screen(screen, logging.INFO), Screen(2, logging.DEBUG)
    shown.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    log.handlers = [shown, kept]


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
