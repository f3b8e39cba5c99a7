"""The tiny study through SLURM, on a cluster of one node that is started for these tests."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from chaos import compare
from small_workflow import Study, read_results

from tests.cluster import one_node

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.long,
    pytest.mark.skipif(one_node.find_obstacle() is not None, reason=str(one_node.find_obstacle())),
]
LOG = "logs/tiny/TOP-50/s0.5/seed0/train_spon.log"
RUN = "results/tiny/TOP-50/s0.5/seed0/nll.parquet"
# What model jobs ask for with 4 GiB and 1 thread in the config, and without a plan.
MODEL = {"memory": "5G", "minutes": "02:00:00", "cpus": "1", "gpus": None}
MODEL |= {"state": "COMPLETED", "partition": "usual"}
SMALL = MODEL | {"memory": "2G", "minutes": "00:30:00"}
# A training of some 20 s, so that it is cancelled amid its steps.
LONG = {"epochs": 100, "measure_every": 100}
TINY = ("config/tiny.yaml",)
PATIENCE = 900  # seconds


@pytest.fixture(scope="module")
def cluster():
    cluster = one_node.Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def submit(study: Study, *arguments: str, overlays: tuple[str, ...] = TINY) -> subprocess.Popen:
    """Start Snakemake, which submits jobs, with its output in `screen.txt`."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    command += ["--slurm-init-seconds-before-status-checks", "5", *arguments]
    command += ["--configfile", *overlays]
    with (study.folder / "screen.txt").open("ab") as screen:
        return subprocess.Popen(command, cwd=study.folder, stdout=screen, stderr=screen)


def finish(study: Study, submitting: subprocess.Popen) -> None:
    """Wait until it has made everything."""
    assert submitting.wait() == 0, (study.folder / "screen.txt").read_text()


def await_training(log: Path, submitting: subprocess.Popen) -> None:
    """Wait until a training has gone some steps, which it says in its log once before."""
    end = time.monotonic() + PATIENCE
    while not (log.exists() and "tokens/s" in log.read_text()):
        assert submitting.poll() is None and time.monotonic() < end, log
        time.sleep(0.2)
    time.sleep(3)


def of_rule(rule: str) -> list[dict]:
    """The jobs of a rule, in the order of their numbers."""
    return [job for _, job in sorted(one_node.list_jobs().items()) if job["rule"] == rule]


@pytest.fixture(scope="module")
def cancelled(cluster, tmp_path_factory):
    """A run that SLURM has trained and evaluated, whose training was cancelled once."""
    study = Study(tmp_path_factory.mktemp("slurm"))
    submitting = submit(study, RUN, overlays=study.overlay(train=LONG))
    await_training(study.folder / LOG, submitting)
    [number] = [
        number for number, job in one_node.list_jobs().items() if job["rule"] == "train_spon"
    ]
    subprocess.run(["scancel", str(number)], check=True)
    finish(study, submitting)
    return study


def test_a_cancelled_job_is_tried_again_with_half_more_memory_and_twice_the_time(cancelled):
    training = MODEL | {"rule": "train_spon"}
    more = {"memory": "7.50G", "minutes": "04:00:00"}
    assert of_rule("train_spon") == [training | {"state": "CANCELLED"}, training | more]


def test_the_second_attempt_goes_on_where_the_first_was_cancelled(cancelled):
    assert "goes on from" in (cancelled.folder / LOG).read_text()


def test_jobs_ask_for_what_they_need_and_light_ones_are_not_submitted(cancelled):
    for rule in ("fetch_model", "read_quantiles", "choose_thresholds", "evaluate_spon"):
        assert of_rule(rule) == [MODEL | {"rule": rule}]
    assert of_rule("collect_docstrings") == [SMALL | {"rule": "collect_docstrings"}]
    assert of_rule("allocate_biases") == []
    assert (cancelled.folder / "results/tiny/TOP-50/sites.csv").exists()


def test_results_are_those_of_this_machine_alone_and_there_is_nothing_left_to_do(
    cancelled, tmp_path
):
    local = Study(tmp_path)
    local.run(RUN, "--cores", "2", overlays=local.overlay(train=LONG))
    assert compare(read_results(local.folder), read_results(cancelled.folder)) == []
    assert cancelled.plan(RUN, overlays=cancelled.overlay(train=LONG)) == {}


def test_a_job_with_a_gpu_asks_for_one_and_for_the_memory_of_its_host(cluster, tmp_path):
    """The GPU is pretended: SLURM gives it to the job, which then finds none."""
    study = Study(tmp_path)
    already = set(one_node.list_jobs())
    arguments = ["--config", "device=cuda", "--default-resources", "slurm_partition=other"]
    submit(study, "results/tiny/model.json", "--retries", "0", *arguments).wait()
    [job] = [job for number, job in one_node.list_jobs().items() if number not in already]
    asked = MODEL | {"rule": "fetch_model", "gpus": "1", "memory": "8G", "partition": "other"}
    assert job | {"state": None} == asked | {"state": None}


def test_the_whole_study_is_that_of_this_machine_alone(cluster, tiny, tmp_path):
    study = Study(tmp_path)
    finish(study, submit(study))
    assert compare(read_results(tiny.folder), read_results(study.folder)) == []
    assert study.plan() == {}
