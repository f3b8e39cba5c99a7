"""The tiny study through SLURM, on a cluster of one node that is started for these tests."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_workflow import Study

from tests.cluster import one_node

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.long,
    pytest.mark.skipif(one_node.find_obstacle() is not None, reason=str(one_node.find_obstacle())),
]
RUN = "results/tiny/TOP-50/s0.5/seed0/nll.parquet"
# What model jobs ask for with 4 GiB and 1 thread in the config, and without a plan.
MODEL = {"memory": "5G", "minutes": "02:00:00", "cpus": "1", "gpus": None, "state": "COMPLETED"}
SMALL = MODEL | {"memory": "2G", "minutes": "00:30:00"}
PATIENCE = 900


@pytest.fixture(scope="module")
def cluster():
    cluster = one_node.Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def submit(study: Study, *arguments: str) -> subprocess.Popen:
    """Start Snakemake, which submits jobs, with its output in `screen.txt`."""
    command = [sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"]
    command += ["--slurm-init-seconds-before-status-checks", "5", *arguments]
    command += ["--configfile", "config/tiny.yaml"]
    with (study.folder / "screen.txt").open("ab") as screen:
        return subprocess.Popen(command, cwd=study.folder, stdout=screen, stderr=screen)


def finish(study: Study, submitting: subprocess.Popen) -> None:
    """Wait until it has made everything."""
    assert submitting.wait() == 0, (study.folder / "screen.txt").read_text()


def read_results(study: Study) -> dict[str, bytes]:
    """The bytes of all results."""
    results = study.folder / "results"
    files = sorted(path for path in results.rglob("*") if path.is_file())
    return {str(path.relative_to(results)): path.read_bytes() for path in files}


def await_file(path: Path, submitting: subprocess.Popen) -> None:
    """Wait for a file, as long as Snakemake runs."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert submitting.poll() is None and time.monotonic() < end, path
        time.sleep(0.2)


def of_rule(rule: str) -> list[dict]:
    """The jobs of a rule, in the order of their numbers."""
    return [job for _, job in sorted(one_node.list_jobs().items()) if job["rule"] == rule]


@pytest.fixture(scope="module")
def cancelled(cluster, tmp_path_factory):
    """A run that SLURM has trained and evaluated, whose training was cancelled once."""
    study = Study(tmp_path_factory.mktemp("slurm"))
    submitting = submit(study, RUN)
    await_file(study.folder / "logs/tiny/TOP-50/s0.5/seed0/train_spon.log", submitting)
    [number] = [
        number for number, job in one_node.list_jobs().items() if job["rule"] == "train_spon"
    ]
    subprocess.run(["scancel", str(number)], check=True)
    finish(study, submitting)
    return study


def test_a_cancelled_job_is_tried_again_with_half_more_memory_and_twice_the_time(cancelled):
    first, second = of_rule("train_spon")
    assert first | {"partition": None} == MODEL | {
        "rule": "train_spon",
        "state": "CANCELLED",
        "partition": None,
    }
    assert (second["state"], second["memory"], second["minutes"]) == (
        "COMPLETED",
        "7.50G",
        "04:00:00",
    )


def test_jobs_ask_for_what_they_need_and_light_ones_are_not_submitted(cancelled):
    for rule in ("fetch_model", "read_quantiles", "choose_thresholds", "evaluate_spon"):
        assert of_rule(rule) == [MODEL | {"rule": rule, "partition": "usual"}]
    assert of_rule("collect_docstrings") == [
        SMALL | {"rule": "collect_docstrings", "partition": "usual"}
    ]
    assert of_rule("allocate_biases") == []
    assert (cancelled.folder / "results/tiny/TOP-50/sites.csv").exists()


def test_results_are_those_of_this_machine_alone_and_there_is_nothing_left_to_do(
    cancelled, tmp_path
):
    local = Study(tmp_path)
    local.run(RUN, "--cores", "2")
    expected, made = read_results(local), read_results(cancelled)
    assert sorted(name for name in expected | made if expected.get(name) != made.get(name)) == []
    assert cancelled.plan(RUN) == {}


def test_a_job_with_a_gpu_asks_for_one_and_for_the_memory_of_its_host(cluster, tmp_path):
    """The GPU is pretended: SLURM gives it to the job, which then finds none."""
    study = Study(tmp_path)
    already = set(one_node.list_jobs())
    arguments = ["--config", "device=cuda", "--default-resources", "slurm_partition=other"]
    submit(study, "results/tiny/model.json", "--retries", "0", *arguments).wait()
    [job] = [job for number, job in one_node.list_jobs().items() if number not in already]
    asked = MODEL | {"rule": "fetch_model", "gpus": "1", "memory": "8G", "partition": "other"}
    assert {**job, "state": None} == {**asked, "state": None}


def test_the_whole_study_is_that_of_this_machine_alone(cancelled, tiny):
    finish(cancelled, submit(cancelled))
    expected, made = read_results(tiny), read_results(cancelled)
    assert sorted(name for name in expected | made if expected.get(name) != made.get(name)) == []
    assert cancelled.plan() == {}
