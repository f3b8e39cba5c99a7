"""The workflow as a module of another one: renamed, with and without a prefix."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from small_workflow import Study

from spon.lineage import records, verify

ROOT = Path(__file__).parents[1]
FIGURE = "figures/tiny/fig1_perplexity.png"
TABLE = "results/tiny/tables/perplexity.csv"
PARENT = """
configfile: "config.yaml"

module spon:
    snakefile: "{snakefile}"
    config: config["study"]
    {prefix}

use rule * from spon as spon_*

rule copy:
    default_target: True
    input:
        table="{folder}{table}",
        figure="{folder}{figure}",
    output: "copy.csv"
    shell: "cp {{input.table}} {{output}}"
"""


def write_parent(folder: Path, prefix: str = "", snakefile: Path = ROOT / "workflow/Snakefile"):
    """Write a workflow that has ours as a module, with the tiny study on one allocation."""
    study = yaml.safe_load((ROOT / "config/tiny.yaml").read_text())
    study["sweep"] |= {"allocations": ["UNIF-ALL"], "further": []}
    (folder / "config.yaml").write_text(yaml.safe_dump({"study": study}))
    text = PARENT.format(
        snakefile=snakefile,
        prefix=f'prefix: "{prefix}"' if prefix else "",
        folder=f"{prefix}/" if prefix else "",
        table=TABLE,
        figure=FIGURE,
    )
    (folder / "Snakefile").write_text(text)


def call(folder: Path, *arguments: str) -> str:
    """Call Snakemake in a folder, and return what it says."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return f"{done.stdout}{done.stderr}\nexit {done.returncode}"


@pytest.fixture(scope="module")
def parent(tmp_path_factory) -> Path:
    """A workflow that has run ours with a prefix, up to a table and a figure."""
    folder = tmp_path_factory.mktemp("parent")
    write_parent(folder, prefix="sub")
    output = call(folder)
    assert output.endswith("exit 0"), output
    return folder


@pytest.mark.workflow
def test_everything_that_a_module_makes_is_below_its_prefix(parent):
    made = {path.name for path in parent.iterdir()}
    assert made == {"Snakefile", "config.yaml", "copy.csv", "sub", ".snakemake"}
    assert {path.name for path in (parent / "sub").iterdir()} == {
        "results",
        "figures",
        "logs",
        "benchmarks",
    }
    assert "UNIF-ALL" in (parent / "copy.csv").read_text()


@pytest.mark.workflow
def test_the_folder_of_a_prefix_is_a_study_whose_records_are_sound(parent):
    found = records.read_records(parent / "sub")
    assert verify.verify(parent / "sub", found).sound
    assert {TABLE, FIGURE} <= set(found.makers)
    # Every job has a record, and calls itself what the workflow calls it.
    logs = {path.stem for path in (parent / "sub/logs").rglob("*.log")}
    assert {record.rule for record in found.by_file.values()} == logs
    sources = set(found.readers) - set(found.makers)
    assert sources
    assert all((parent / "sub" / path).is_file() for path in sources)


@pytest.mark.workflow
def test_a_finished_module_has_nothing_to_do(parent):
    assert "Nothing to be done" in call(parent, "--dry-run")


@pytest.mark.workflow
def test_the_benchmarks_below_a_prefix_are_counted_by_the_rules_own_names(parent):
    output = call(parent, "sub/results/tiny/cost.json")
    assert output.endswith("exit 0"), output
    rules = json.loads((parent / "sub/results/tiny/cost.json").read_text())["rules"]
    assert rules["train_spon"]["stage"] == "training"
    assert rules["evaluate_spon"]["jobs"] == 1


@pytest.mark.workflow
@pytest.mark.parametrize("prefix", ["", "logs/results"])
def test_a_module_plans_the_jobs_of_the_workflow_whatever_its_prefix_is_called(tmp_path, prefix):
    write_parent(tmp_path, prefix)
    output = call(tmp_path, "spon_all", "--dry-run", "--quiet", "rules")
    counts = dict(line.split() for line in output.splitlines() if line.startswith("spon_"))
    # One more run is trained, since it is analysed.
    assert (counts["spon_train_spon"], counts["spon_evaluate_spon"]) == ("2", "1")
    assert counts["spon_render_page"] == counts["spon_all"] == "1"


@pytest.mark.workflow
def test_a_key_of_the_parent_that_is_none_of_ours_ends_in_one_sentence(tmp_path):
    write_parent(tmp_path)
    settings = yaml.safe_load((tmp_path / "config.yaml").read_text())
    settings["study"]["samples"] = "samples.csv"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    output = call(tmp_path, "--dry-run")
    assert "config: 'samples' is no key of the config: " in output
    assert "Traceback" not in output


@pytest.mark.workflow
def test_a_snakefile_without_the_library_beside_it_ends_in_one_sentence(tmp_path):
    alone = tmp_path / "elsewhere/workflow/Snakefile"
    alone.parent.mkdir(parents=True)
    alone.write_text((ROOT / "workflow/Snakefile").read_text())
    write_parent(tmp_path, snakefile=alone)
    output = call(tmp_path, "--dry-run")
    assert "which has no library spon beside it: allowed is the path of workflow/Snak" in output
    assert "Traceback" not in output


@pytest.mark.workflow
def test_the_layout_of_snakedeploy_is_the_same_workflow(tmp_path):
    study = Study(tmp_path)
    by_hand = ("--snakefile", "workflow/Snakefile", "--workflow-profile", "profiles/default")
    assert study.plan(*by_hand) == study.plan() != {}
