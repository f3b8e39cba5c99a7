"""What Snakemake would ask a cluster for, read off a dry-run."""

import json
import re

import pytest
from small_workflow import Study

ASKED = ("mem_mb", "runtime", "cpus_per_task")


@pytest.mark.workflow
def test_model_jobs_ask_by_the_config_and_the_plan_and_light_ones_for_nothing(tmp_path):
    study = Study(tmp_path)
    plan = study.folder / "results/tiny/plan.json"
    plan.parent.mkdir(parents=True)
    # Thrice twenty minutes each.
    plan.write_text(json.dumps({"rules": {"evaluate_dense": {"jobs": 2, "seconds": 2400}}}))
    targets = ["results/tiny/dense/nll.parquet", "results/tiny/TOP-50/sites.csv"]
    overlays = study.overlay(memory_gib=2.5, threads=3)
    shown = study.snakemake(*targets, "--dry-run", "--cores", "1", overlays=overlays).stdout
    jobs = {}
    for rule, line in re.findall(r"^rule (\w+):.*?resources: (.*?)$", shown, re.M | re.S):
        resources = dict(item.split("=") for item in line.split(", "))
        jobs[rule] = [resources[name] for name in ASKED if name in resources]
    assert jobs == {
        "fetch_model": ["3584", "120", "3"],
        "collect_docstrings": ["2048", "30", "1"],
        "tokenize_text": ["2048", "30", "1"],
        "evaluate_dense": ["3584", "60", "3"],
        "allocate_biases": [],
    }
