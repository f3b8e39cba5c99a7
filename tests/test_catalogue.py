"""What Snakemake's catalogue and GitHub ask of the repository."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.mark.workflow
def test_a_config_in_the_folder_where_snakemake_runs_lies_over_the_defaults(tmp_path):
    (tmp_path / "config").mkdir()
    tiny = (ROOT / ".test/config/config.yaml").read_text()
    (tmp_path / "config/config.yaml").write_text(tiny)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow/Snakefile")]
    command += ["--directory", str(tmp_path), "--dry-run", "--quiet", "rules"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    jobs = dict(
        line.split() for line in done.stdout.splitlines() if re.fullmatch(r"\w+ +\d+", line)
    )
    assert (jobs["train_spon"], jobs["write_metrics"]) == ("5", "1")


def test_the_tiny_study_is_written_once():
    assert (ROOT / ".test/config/config.yaml").resolve() == ROOT / "config/tiny.yaml"


def test_the_catalogue_finds_what_it_asks_for():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"]
    assert not usage["software-stack-deployment"]["apptainer"]
    # No image is named, so that `--sdm apptainer` has none to run in.
    rules = "".join(path.read_text() for path in (ROOT / "workflow").rglob("*.smk"))
    assert not re.search(r"^ *(container|containerized):", rules, re.M)
    for path in ("workflow/Snakefile", "config/README.md", "README.md"):
        assert (ROOT / path).exists()


def test_github_runs_what_a_newcomer_types_by_actions_that_cannot_change():
    told = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    steps = [step for job in told["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run", "make check"]
    actions = [step["uses"] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action in actions)
