from collections import Counter
from copy import deepcopy
from pathlib import Path

import yaml

from spon.cost.jobs import list_jobs
from spon.study import Study

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config/config.yaml").read_text())


def test_a_study_s_jobs_are_those_of_its_runs_and_evaluations_and_one_of_each_other_rule():
    jobs = list_jobs(Study("pydoc", CONFIG), by_run=["bias_statistics"], by_study=["tabulate"])
    counts = Counter(job["rule"] for job in jobs)
    assert counts == {
        "fetch_model": 1,
        "collect_docstrings": 1,
        "tokenize_text": 2,
        "tokenize_prompts": 1,
        "read_quantiles": 3,
        "choose_thresholds": 6,
        "allocate_biases": 14,
        "train_spon": 24,
        "average_residual": 2,
        "take_newton_step": 2,
        "centre_on_mode": 1,
        "evaluate_dense": 1,
        "evaluate_teal": 6,
        "evaluate_spon": 29,
        "evaluate_on_dense": 2,
        "evaluate_draws": 1,
        "bias_statistics": 4,
        "tabulate": 1,
    }
    assert {"rule": "train_spon", "allocation": "TOP-50", "sparsity": 0.5, "seed": 1} in jobs


def test_a_further_text_has_a_job_for_every_evaluation_of_the_first():
    config = deepcopy(CONFIG)
    texts = config["studies"]["pydoc"]["text"]
    reference = {"called": "reference", "path": "python_reference", "split": "all", "blocks": 9}
    before = Counter(job["rule"] for job in list_jobs(Study("pydoc", config), [], []))
    texts["evaluation"] = [texts["evaluation"], reference]
    jobs = list_jobs(Study("pydoc", config), [], [])
    assert Counter(job["rule"] for job in jobs) - before == {
        "collect_topics": 1,
        "tokenize_text": 1,
        "evaluate_dense_further": 1,
        "evaluate_teal_further": 6,
        "evaluate_spon_further": 29,
        "tabulate_further": 1,
    }
    further = [job for job in jobs if job["rule"].endswith("_further")]
    assert {job["part"] for job in further} == {"reference"}


def test_thresholds_by_rank_need_no_quantiles():
    config = deepcopy(CONFIG)
    config["studies"]["pydoc"]["method"] = "topk"
    counts = Counter(job["rule"] for job in list_jobs(Study("pydoc", config), [], []))
    assert "read_quantiles" not in counts
    assert counts["choose_thresholds"] == 6


def test_a_study_by_greedy_sparsities_reads_quantiles_and_chooses_them_by_a_rule_of_its_own():
    config = deepcopy(CONFIG)
    config["studies"]["pydoc"]["method"] = "greedy"
    counts = Counter(job["rule"] for job in list_jobs(Study("pydoc", config), [], []))
    assert counts["read_quantiles"] == 3
    assert counts["choose_greedy_thresholds"] == 6
    assert "choose_thresholds" not in counts
