"""List all jobs of a study by rule, with what decides their size, for the study's plan."""

from collections.abc import Iterable

from spon.allocate import RANDOM
from spon.cost.workload import LEARNING
from spon.methods.names import BY_RANK, GREEDY
from spon.sites import DENSE, TEAL
from spon.study import Study


def list_jobs(study: Study, by_run: Iterable[str], by_study: Iterable[str]) -> list[dict]:
    """List every job of a study that has a model.

    Args:
        study: The study.
        by_run: The rules of analyses that have a job for each analysed run.
        by_study: The rules that have one job, after all evaluations.

    Returns:
        Each with its `rule` and its wildcards but the study, rules in the order of the work.
    """
    learned = study.learned
    baselines = {DENSE: "evaluate_dense", TEAL: "evaluate_teal"}
    evaluations = [
        (baselines.get(row["allocation"], "evaluate_spon"), row) for row in study.evaluations
    ]
    scopes = dict.fromkeys(thresholds["scope"] for thresholds in study.thresholds)
    # Thresholds by rank need no quantiles.
    read_scopes = [] if study.settings["method"] == BY_RANK else scopes
    is_greedy = study.settings["method"] == GREEDY
    choosing = "choose_greedy_thresholds" if is_greedy else "choose_thresholds"
    swept = [allocation.name for allocation in study.swept]
    allocations = dict.fromkeys([*swept, *(run["allocation"] for run in learned)])
    jobs = [
        ("fetch_model", {}),
        *([("collect_docstrings", {})] if study.collects_docstrings else []),
        *([("collect_topics", {})] if study.collects_topics else []),
        *(("tokenize_text", {"part": part}) for part in study.settings["text"]),
        ("tokenize_prompts", {}),
        *(("read_quantiles", {"scope": scope}) for scope in read_scopes),
        *((choosing, thresholds) for thresholds in study.thresholds),
        *(("allocate_biases", {"allocation": name}) for name in allocations),
        *(
            (rule, run)
            for way, rule in LEARNING.items()
            for run in learned
            if study.learning(run) == way
        ),
        *evaluations,
        *(
            (f"{rule}_further", row | {"part": part})
            for part in study.further_texts
            for rule, row in evaluations
        ),
        *(("evaluate_on_dense", run) for run in study.adaptations),
        *(("evaluate_draws", run) for run in study.runs(RANDOM)),
        *((rule, run) for rule in by_run for run in study.analysed),
        *(("tabulate_further", {"part": part}) for part in study.further_texts),
        *((rule, {}) for rule in by_study),
    ]
    return [{"rule": rule, **wildcards} for rule, wildcards in jobs]
