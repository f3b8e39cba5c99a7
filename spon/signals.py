"""How a job ends before it has finished: when Snakemake ends, or by a signal."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

# The environment variable by which the workflow hands its process id to the jobs.
SNAKEMAKE = "SPON_SNAKEMAKE"
SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG in linux/prctl.h
# SIGTERM is how batch systems stop a job, SIGHUP is a terminal that is closed, SIGINT is Ctrl-C.
SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
]
# ASSUME: seconds that a job has to end by itself; Slurm kills 30 s after it has sent SIGTERM.
GRACE = 25
LATE = 3  # seconds more, after which it ends without a word
# ASSUME: seconds in which a job shows up that Snakemake was starting when it was told to stop.
LATEST_START = 5


class Stopped(BaseException):
    """A signal ends the job; no handler of errors in a library shall take it for one."""


def die_with(main: int) -> None:
    """End this process without a word when its parent or Snakemake ends, or if one has ended.

    Snakemake may be the parent of a shell that is the parent of a job, and a job that of workers.
    On Linux the kernel kills an orphan, whatever it is doing; a thread sees the other deaths.

    Args:
        main: The process id of Snakemake. What does not descend from it is an orphan already.
    """
    me = psutil.Process()
    parent = me.ppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    # Looked up after the kernel was asked: a parent that died in between is none of these.
    above = me.parents()
    if me.ppid() != parent or main not in [process.pid for process in above]:
        os.write(2, b"this process is no job of a Snakemake that is running\n")
        os._exit(1)
    ours = above[: [process.pid for process in above].index(main) + 1]
    threading.Thread(target=watch, args=(ours,), daemon=True).start()


def watch(processes: list[psutil.Process]) -> None:
    """End this process within a second of any of these."""
    while all(map(is_alive, processes)):
        time.sleep(1)
    os._exit(1)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process has not ended, not even as a zombie, of which nobody has asked how."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Stop:
    """What the first signal that ends a job does; later ones do nothing.

    It raises `Stopped` in the main thread at once, or asks the job to end itself, and raises
    `Stopped` only after `GRACE` seconds. A job that is still there soon after has its process
    ended: what it had saved counts.

    Attributes:
        name: That of the signal that has come; empty if none has.
        ask: Asks the job to end itself; None if there is nothing to ask.
        leave: Ends the process where nothing else does.
    """

    def __init__(self) -> None:
        self.name = ""
        self.ask: Callable[[], object] | None = None
        self.leave = threading.Timer(0, os._exit)

    def listen(self) -> None:
        """Receive the signals from now on, those that are not ignored (nohup ignores SIGHUP)."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.receive)

    def receive(self, number: int, _frame: object) -> None:
        """Handle a signal."""
        if self.name:
            return
        self.name = signal.Signals(number).name
        # Again and again, since what is raised in a finaliser, or amid a bare `except`, is lost.
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self.interrupt)
            signal.setitimer(signal.ITIMER_REAL, GRACE, 1)
        # Python does nothing of this amid one long operation of a model, but other threads run.
        self.leave = threading.Timer(GRACE + LATE, os._exit, [128 + number])
        self.leave.daemon = True
        self.leave.start()
        if not self.ask:
            raise Stopped(self.name)
        self.ask()

    def interrupt(self, *_: object) -> None:
        """End the job that did not end itself."""
        raise Stopped(self.name)


def end_start(number: int, _frame: object) -> None:
    """Handle a signal while Snakemake has no job yet: leave, so that the lock is removed."""
    sys.exit(128 + number)


def listen_before_jobs() -> None:
    """Let Snakemake leave in order by SIGTERM and SIGHUP while it finds out what to run."""
    if threading.current_thread() is not threading.main_thread():
        return  # a program that calls Snakemake in a thread has its own ways to end it
    for number in SIGNALS[:-1]:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end_start)


def pass_on_to_jobs() -> None:
    """Let Snakemake tell its jobs that they shall stop, by SIGTERM and SIGHUP.

    Snakemake itself only waits for them, which may take hours, and SIGHUP ends it with its lock in
    place.
    """
    start_no_more = signal.getsignal(signal.SIGTERM)
    if not callable(start_no_more):
        return  # Snakemake could not set its own, in a thread

    def stop(number: int, _frame: object) -> None:
        # In threads, since Snakemake's own handler takes a lock that the main thread, which is
        # interrupted here, may hold.
        threading.Thread(target=tell_jobs, args=(number,), daemon=True).start()
        threading.Thread(target=start_no_more, args=(number, None), daemon=True).start()

    for number in SIGNALS[:-1]:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)


def tell_jobs(number: int) -> None:
    """Send a signal to the jobs of this process, those too that are just starting.

    A job takes the first signal that it gets, and ignores further ones. Jobs of a later workflow
    in the same process are not meant: this ends when there has been none for some seconds.
    """
    seen = time.monotonic()
    while time.monotonic() - seen < LATEST_START:
        for child in psutil.Process().children(recursive=True):
            if is_job(child):
                seen = time.monotonic()
                with suppress(psutil.Error):  # it has ended meanwhile
                    child.send_signal(number)
        time.sleep(1)


def is_job(process: psutil.Process) -> bool:
    """Whether a process runs a script of Snakemake's, and is no shell around one nor a worker."""
    try:
        arguments = process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return False
    if "-c" in arguments[1:2]:
        return False
    return any(
        Path(argument).parent.parts[-2:] == (".snakemake", "scripts") for argument in arguments
    )
