import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from spon import signals

ROOT = Path(__file__).parents[1]
WATCHED = """
import sys, time
from spon import signals
signals.die_with(int(sys.argv[1]))
print("alive", flush=True)
time.sleep(60)
"""
# What stands between Snakemake and its job, as a shell may: it says who the job is, and waits.
BETWEEN = """
import os, subprocess, sys
command = [sys.executable, "-c", sys.argv[1], str(os.getppid())]
job = subprocess.Popen(command, stdout=subprocess.PIPE)
job.stdout.readline()
print(job.pid, flush=True)
job.wait()
"""
MAIN = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def has_ended(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.1)
    return not is_alive(pid)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and signals.is_alive(psutil.Process(pid))


@pytest.mark.parametrize("killed", ["main", "between"])
def test_a_job_ends_when_snakemake_or_the_shell_between_is_killed(killed):
    main = start(MAIN, BETWEEN, WATCHED)
    job = int(main.stdout.readline())
    between = psutil.Process(job).parent()
    assert between.ppid() == main.pid
    (main if killed == "main" else between).kill()
    assert has_ended(job)
    if killed == "main":
        between.kill()
    main.wait()


def test_a_job_whose_snakemake_has_ended_before_its_first_line_does_not_begin():
    gone = start("pass")
    gone.wait()
    job = start(WATCHED, str(gone.pid))
    assert job.wait(10) == 1
    assert job.stdout.read() == ""


@pytest.fixture
def stop():
    """What receives signals, until the end of a test."""
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    listening = signals.Stop()
    listening.listen()
    yield listening
    listening.leave.cancel()
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_ends_what_runs_at_once(stop, number):
    with pytest.raises(signals.Stopped):
        os.kill(os.getpid(), number)
    assert stop.name == signal.Signals(number).name


def test_what_wants_to_end_itself_is_asked_once_and_ended_when_it_takes_too_long(
    stop, monkeypatch
):
    monkeypatch.setattr(signals, "GRACE", 1)
    asked = []
    stop.ask = lambda: asked.append(1)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGHUP)
    assert asked == [1]
    assert stop.name == "SIGTERM"
    with pytest.raises(signals.Stopped):
        time.sleep(5)


STUCK = """
import hashlib, os, signal
from spon import signals
signals.GRACE, signals.LATE = 1, 1
stop = signals.Stop()
stop.listen()
stop.ask = lambda: None
os.kill(os.getpid(), signal.SIGTERM)
hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
"""


def test_a_job_amid_one_long_operation_is_ended_too():
    began = time.monotonic()
    assert start(STUCK).wait(30) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 20


def test_a_signal_that_is_ignored_stays_so():
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals.Stop().listen()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# A Snakemake that is told to stop, with a script and another process below it.
TOLD = """
import os, signal, subprocess, sys
from spon import signals
sleep = "import time; time.sleep(60)"
job = subprocess.Popen([sys.executable, sys.argv[1]])
other = subprocess.Popen([sys.executable, "-c", sleep])
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
signals.pass_on_to_jobs()
os.kill(os.getpid(), signal.SIGHUP)
print(job.wait(10), other.poll(), flush=True)
other.kill()
"""


@pytest.fixture
def script(tmp_path) -> Path:
    """A script of a job, as Snakemake names them, that takes a while."""
    folder = tmp_path / ".snakemake/scripts"
    folder.mkdir(parents=True)
    (folder / "job.py").write_text("import time\ntime.sleep(60)")
    return folder / "job.py"


def test_snakemake_passes_a_signal_on_to_its_scripts_and_to_no_other_process(script):
    main = start(TOLD, str(script))
    lines = main.stdout.read().splitlines()
    assert sorted(lines) == sorted(["told", f"{-signal.SIGHUP} None"])
    main.wait()


def test_jobs_of_a_later_workflow_in_the_same_process_are_left_alone(script, monkeypatch):
    monkeypatch.setattr(signals, "LATEST_START", 1)
    signals.tell_jobs(signal.SIGHUP)
    job = subprocess.Popen([sys.executable, script])
    with pytest.raises(subprocess.TimeoutExpired):
        job.wait(3)
    job.kill()
    job.wait()
