"""The seam, in processes of their own: how a job ends, and what it leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from spon import job

ROOT = Path(__file__).parents[1]
# A script whose job counts to nine, saves how far it is, and waits for a file before each step.
COUNT = """
import sys, time
from pathlib import Path

from snakemake.iocontainers import Namedlist

from spon.job import job
import torch


class Snakemake:
    input, config = Namedlist(), {"memory_gib": 4}
    output = Namedlist(fromdict={"numbers": "results/s/a/count.txt"})
    wildcards = Namedlist(fromdict={"study": "s", "allocation": "a"})
    params = Namedlist(fromdict={"spec": {"last": 9}})
    resources, log = {}, ["logs/s/a/count.log"]


with job(Snakemake) as here:
    state = here.state if "saves" in sys.argv else None
    snapshot = state and state.load()
    for step in range(snapshot.facts["steps"] if snapshot else 0, 9):
        Path(f"began{step}").touch()
        while not Path(f"go{step}").exists():
            time.sleep(0.01)
            if state:
                state.offer(lambda: (f"step {step} of 9", {}, {"steps": step}))
    Path("results/s/a/count.txt").write_text("9")
"""
OUTPUT, RECORD = Path("results/s/a/count.txt"), Path("results/s/lineage/a/count.json")
STATE = Path(".snakemake/unfinished/s/count a.safetensors")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where Snakemake has called the script: folders of outputs and logs are there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for place in (OUTPUT.parent, RECORD.parent, Path("logs/s/a")):
        place.mkdir(parents=True)
    Path("count.py").write_text(COUNT)


def start(*arguments):
    """Begin the job."""
    return subprocess.Popen(
        [sys.executable, "count.py", *arguments], stderr=subprocess.PIPE, text=True
    )


def let_go_to(step):
    """Let the job take some steps, and no more."""
    for number in range(step):
        Path(f"go{number}").touch()


def wait_for(path):
    """Wait until the job is there."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_job_that_a_signal_ends_says_so_fails_and_leaves_no_record_of_an_earlier_one(number):
    RECORD.write_text("of an earlier run")
    counting = start()
    wait_for(Path("began0"))
    os.kill(counting.pid, number)
    _, screen = counting.communicate(timeout=60)
    assert counting.returncode == 1
    sentence = f"count: stopped by {number.name}"
    assert screen.strip().endswith(sentence)
    assert "Traceback" not in screen
    assert Path("logs/s/a/count.log").read_text().strip().endswith(sentence)
    assert not OUTPUT.exists()
    assert not RECORD.exists()


def test_a_job_that_saves_goes_on_where_it_was_and_leaves_nothing_when_it_has_succeeded():
    let_go_to(4)
    counting = start("saves")
    wait_for(Path("began4"))
    os.kill(counting.pid, signal.SIGTERM)
    _, screen = counting.communicate(timeout=60)
    assert counting.returncode == 1
    assert screen.strip().endswith("count: stopped by SIGTERM, and saved how far it is")
    assert STATE.exists()
    assert not RECORD.exists()
    STATE.with_suffix(".partial").touch()  # as a save that was killed leaves it
    let_go_to(9)
    Path("began0").unlink()
    counting = start("saves")
    _, screen = counting.communicate(timeout=60)
    assert (counting.returncode, OUTPUT.read_text()) == (0, "9")
    assert "count: goes on from step 4 of 9, where it was stopped" in screen
    assert not Path("began0").exists()
    assert RECORD.exists()
    assert list(STATE.parent.iterdir()) == []


def test_a_job_uses_no_more_cpus_than_it_has_asked_a_cluster_for(monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    seen = job.count_cpus()
    asked = SimpleNamespace(resources={"torch_threads": 64})
    assert job.count_threads(asked) == 64
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert (job.count_cpus(), job.count_threads(asked)) == (1, 1)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4096")
    assert job.count_cpus() == seen


def test_a_model_that_is_spread_over_more_gpus_than_there_are_is_refused():
    job.require_gpus({"cuda:0": 8, "cuda:1": 8, "cpu": 9}, found=2)
    job.require_gpus(8, found=1)
    with pytest.raises(ValueError, match="{cuda:0: 8, cuda:1: 8}, and torch finds 1 GPUs"):
        job.require_gpus({"cuda:0": 8, "cuda:1": 8}, found=1)
