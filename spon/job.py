"""Run a script as a job of Snakemake: its log, device, threads, progress, record and failure."""

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spon import failures, signals
from spon.lineage import digest, records, stamp

if TYPE_CHECKING:
    import pandas

    from spon.cache import Keep
    from spon.memory import Limit
    from spon.resume import State

# Where jobs keep tensors for one another: a folder per study, beside Snakemake's own files.
KEPT = Path(".snakemake/kept")
# Where long jobs save how far they are.
UNFINISHED = Path(".snakemake/unfinished")

# Scripts import this module first, before torch, which takes seconds: a job whose Snakemake was
# killed meanwhile ends here, and its workers, which import the script again, end with it. In no
# other process has the workflow set the variable.
if signals.SNAKEMAKE in os.environ:
    signals.die_with(int(os.environ[signals.SNAKEMAKE]))


@dataclass(frozen=True)
class Job:
    """The surroundings of a script, and its ways to write.

    Attributes:
        device: Where the model runs, `cpu` or `cuda`.
        processes: Processes that the job may start.
        metadata: Study, rule, job and wildcards, which are written into the job's files.
        screen: The file descriptor of the user's screen.
        memory_gib: Memory that the job may use, as the config says it.
        identity: What every tensor depends on that the job keeps for other jobs.
        saved: The file in which it saves how far it is.
        stop: What a signal that ends the job does.
    """

    device: str
    processes: int
    metadata: dict[str, str]
    screen: int
    memory_gib: "Limit"
    identity: dict[str, Any]
    saved: Path
    stop: signals.Stop

    def on_stop(self, ask: Callable[[], object]) -> None:
        """Let SIGTERM, SIGHUP and Ctrl-C call this in the main thread, in place of ending the job.

        The body is then to save what it has and to end by any exception within `signals.GRACE`
        seconds. `ask` may be `threading.Event().set`, for a loop that looks between its steps.
        """
        self.stop.ask = ask

    @property
    def keep(self) -> "Keep":
        """Computes a tensor, or reads it where another job of the study has kept it."""
        from spon.cache import Cache

        return Cache(KEPT / self.metadata["study"], self.identity).keep

    @property
    def state(self) -> "State":
        """Where the job goes on, if it was stopped, and saves how far it is."""
        from spon.resume import State

        identity = self.identity | {"settings and inputs": self.metadata["job"]}
        state = State(self.saved, identity, self.say)
        self.on_stop(state.stop)
        return state

    @property
    def stamp(self) -> str:
        """The metadata as the text that is written into a file."""
        return stamp.write_stamp(self.metadata)

    def say(self, sentence: str | None) -> None:
        """Write a sentence to the screen and to the log; nothing if it is None."""
        if sentence:
            tell(self.screen, f"{self.metadata['rule']}: {sentence}")

    def write_json(self, content: dict[str, Any] | list[dict[str, Any]], path: str | Path) -> None:
        """Write an object or a list of objects as JSON, with the metadata under the key `made_by`.

        Each object of a list has that key, so that it says where it is from when it is copied out.
        """
        made_by = {"made_by": self.metadata}
        if isinstance(content, list):
            stamped = [entry | made_by for entry in content]
        else:
            stamped = content | made_by
        text = json.dumps(stamped, indent=1, allow_nan=False, ensure_ascii=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def write_parquet(self, table: "pandas.DataFrame", path: str | Path, **options: Any) -> None:
        """Write a table as parquet, with the job's metadata in that of the schema."""
        import pyarrow
        import pyarrow.parquet

        arrow = pyarrow.Table.from_pandas(table, preserve_index=False)
        made_by = {"made_by": self.stamp}
        pyarrow.parquet.write_table(
            arrow.replace_schema_metadata(arrow.schema.metadata | made_by), path, **options
        )


@contextmanager
def job(snakemake) -> Iterator[Job]:
    """Run a script's body with its output in the rule's log, and a failure on the screen.

    If it succeeds, its record says what it read, by which settings it ran and what it wrote.
    """
    stop = signals.Stop()
    stop.listen()
    close_input()
    screen = os.dup(2)
    names = " ".join(str(name) for key, name in snakemake.wildcards.items() if key != "study")
    rule = name_rule(snakemake)
    show_progress(screen, f"{rule} {names}".strip())
    try:
        redirect_output(snakemake.log[0])
        with recorded(snakemake) as description:
            here = describe_job(snakemake, screen, description, stop)
            yield here
        # What is left of a save that was killed too, as `resume.State` names it.
        for left in (here.saved, here.saved.with_suffix(".partial")):
            left.unlink(missing_ok=True)
    except (Exception, signals.Stopped) as error:
        write_to(2, traceback.format_exc())
        files = (snakemake.log[0], snakemake.input, snakemake.output)
        reason = f"stopped by {stop.name}" if stop.name else failures.explain(error, *files)
        if stop.name and isinstance(error, InterruptedError):
            reason += ", and saved how far it is"
        fail(screen, f"{rule}: {reason}")


@contextmanager
def recorded(snakemake) -> Iterator[dict[str, Any]]:
    """Yield the description of a job, and write its record when it has succeeded.

    The record of an earlier run is removed first, so that a failed job has none.

    Raises:
        ValueError: An input is not what the job that made it has written.
    """
    folder = records.find_folder(snakemake.log[0], snakemake.output[0])
    path = records.record_path(snakemake.log[0], folder)
    records.start_record(path)
    rule, wildcards = name_rule(snakemake), dict(snakemake.wildcards.items())
    spec, inputs = snakemake.params.get("spec", {}), snakemake.input
    given = snakemake.config.get("given", [])
    description = records.describe_job(rule, wildcards, spec, inputs, folder, given)
    records.check_inputs(description, folder)
    yield description
    environment = records.describe_environment(choose_device(snakemake), count_threads(snakemake))
    code = digest.describe_code(sys.modules["__main__"].__file__)
    records.finish_record(path, description, snakemake.output, code, environment, folder)


def name_state(metadata: dict[str, str], folder: Path) -> Path:
    """Return the file in which a job saves how far it is.

    Args:
        metadata: As in `Job`.
        folder: That of its module, whose study may be named as that of another one.
    """
    names = [value for key, value in metadata.items() if key not in ("study", "job")]
    of_module = folder.relative_to(folder.anchor).parts
    name = " ".join([*of_module, *names])
    return UNFINISHED / metadata.get("study", "") / f"{name}.safetensors"


def name_rule(snakemake) -> str:
    """Return the rule's own name, whatever a module calls it: that of its log."""
    return Path(snakemake.log[0]).stem


def choose_device(snakemake) -> str:
    """Return the device on which the job's model runs."""
    return "cuda" if snakemake.resources.get("gpu", 0) else "cpu"


def count_cpus() -> int:
    """Return how many CPUs a job may use: those that it sees, or has asked SLURM for, if fewer."""
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(seen, int(os.environ.get("SLURM_CPUS_PER_TASK", seen)))


def count_threads(snakemake) -> int:
    """Return the CPU threads of a job's model, no more than CPUs where a cluster counts them."""
    threads = snakemake.resources.get("torch_threads", 1)
    return min(threads, count_cpus()) if "SLURM_CPUS_PER_TASK" in os.environ else threads


def describe_job(snakemake, screen: int, description: dict[str, Any], stop: signals.Stop) -> Job:
    """Return the surroundings of a job; torch, if the script imports it, is set to its threads.

    Raises:
        ValueError: A GPU is asked for, and torch finds none.
    """
    torch = sys.modules.get("torch")
    device = choose_device(snakemake)
    if torch:
        if device == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                f"device is '{snakemake.config['device']}', but torch finds no GPU: set device to "
                "'cpu', install the CUDA build of torch, or, to plan a study of another machine, "
                "say what that sustains (plan: {teraflops: N})"
            )
        torch.set_num_threads(count_threads(snakemake))
        if device == "cuda":
            require_gpus(snakemake.config["memory_gib"], torch.cuda.device_count())
            # A GPU may otherwise sum in another order from call to call.
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
            torch.use_deterministic_algorithms(True, warn_only=True)
    made_by = records.name_origin(description) | dict(snakemake.wildcards.items())
    identity = identify(snakemake, device, torch)
    memory_gib = snakemake.config["memory_gib"]
    saved = name_state(made_by, records.find_folder(snakemake.log[0], snakemake.output[0]))
    return Job(device, count_cpus(), made_by, screen, memory_gib, identity, saved, stop)


def require_gpus(memory_gib: "Limit", found: int) -> None:
    """Refuse a job whose model is spread over more GPUs than there are.

    Raises:
        ValueError: There are fewer.
    """
    from spon import memory

    if memory.count_gpus(memory_gib) > found:
        raise ValueError(
            f"memory_gib is {memory.name_limit(memory_gib)}, and torch finds {found} GPUs: "
            f"allowed are as many"
        )


def identify(snakemake, device: str, torch) -> dict[str, Any]:
    """Return what all tensors of a job depend on: code, model, device, hardware and software."""
    # The code as it is now. The spec has its digest too, but of when Snakemake started.
    identity = {"code": digest.digest_code(sys.modules["__main__"].__file__), "device": device}
    if "model" in snakemake.input.keys():  # noqa: SIM118 (its items are paths)
        identity["model"] = records.digest_file(snakemake.input.model)
    if torch:
        if device == "cuda":
            hardware = torch.cuda.get_device_name()
        else:
            hardware = f"{records.name_processor()}, {torch.backends.cpu.get_cpu_capability()}"
        identity |= {
            "hardware": hardware,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "transformers": metadata.version("transformers"),
        }
    return identity


class Screen(logging.Handler):
    """A logging handler that writes lines to a file descriptor.

    The user's screen has one that is not redirected to the job's log.
    """

    def __init__(self, screen: int, level: int):
        super().__init__(level)
        self.screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        write_to(self.screen, f"{self.format(record)}\n")


def show_progress(screen: int, name: str) -> None:
    """Send the progress of long loops to the screen, under the job's name, and to the log."""
    log = logging.getLogger("spon.progress")
    log.setLevel(logging.DEBUG)
    to_screen, to_log = Screen(screen, logging.INFO), Screen(2, logging.DEBUG)
    to_screen.setFormatter(logging.Formatter(f"{name}: %(message)s"))
    log.handlers = [to_screen, to_log]


def fail(screen: int, sentence: str) -> None:
    """Write what went wrong to the log and to the screen, and end the job."""
    tell(screen, sentence)
    sys.exit(1)


def tell(screen: int, sentence: str) -> None:
    """Write a sentence to the screen and to the log."""
    for stream in (screen, 2):
        write_to(stream, f"\n{sentence}\n")


def write_to(stream: int, text: str) -> None:
    """Write a text, if that is possible: the disk of a log may be full, and a terminal closed.

    Neither ends a job, nor does the one keep its sentence from the other.
    """
    with suppress(OSError):
        sys.stderr.flush()
    with suppress(OSError):
        os.write(stream, text.encode())


def redirect_output(log: str) -> None:
    """Send what the job writes to its log; to nowhere if that cannot be opened.

    Raises:
        OSError: It cannot be opened.
    """
    try:
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError:
        redirect_output(os.devnull)
        raise
    for stream in (1, 2):
        os.dup2(opened, stream)
    os.close(opened)


def close_input() -> None:
    """Give the job no standard input, so that no library can ask anything and take an answer."""
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
