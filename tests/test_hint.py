"""A dry-run says where the results of a published study are, and nothing else does."""

import lineage_tree as tree
import pytest
from small_workflow import Study

pytestmark = pytest.mark.workflow

HINT = "What is published of tiny is not here: `make pull` fetches it, in place of making it.\n"
STAGES = "stages: {tiny: {cmd: snakemake, outs: [results/tiny/model.json]}}\n"
ONE_JOB = "results/tiny/environment.json"


def test_it_stands_at_the_end_of_a_dry_run_until_results_are_there(tmp_path, monkeypatch):
    study = Study(tmp_path)
    monkeypatch.chdir(tmp_path)
    tree.git("init", "-q")
    study.write("dvc.yaml", STAGES)
    assert study.snakemake("--dry-run", ONE_JOB).stderr.endswith(HINT)
    ran = study.snakemake("--cores", "1", ONE_JOB)
    assert ran.returncode == 0, ran.stderr
    assert "make pull" not in ran.stderr + ran.stdout
    study.write("results/tiny/model.json", "{}")
    assert "make pull" not in study.snakemake("--dry-run", ONE_JOB).stderr
