"""All jobs of a study by rule, with what decides their size: what its plan is made of."""

from collections.abc import Iterable

from spon.study import DENSE, MEAN_RESIDUAL, RANDOM, TEAL, TRAINED, Study


def list_jobs(study: Study, by_run: Iterable[str], by_study: Iterable[str]) -> list[dict]:
    """Every job of a study that has a model.

    Args:
        study: The study.
        by_run: The rules of analyses that are made for each analysed run.
        by_study: The rules that have one job, behind all evaluations.

    Returns:
        Each with its `rule` and the wildcards beside the study, rules in the order of the work.
    """
    learned = study.learned
    baselines = {DENSE: "evaluate_dense", TEAL: "evaluate_teal"}
    scopes = dict.fromkeys(choice["scope"] for choice in study.thresholds)
    allocations = dict.fromkeys(
        [one.name for one in study.swept if one.learn != RANDOM]
        + [run["allocation"] for run in learned]
    )
    jobs = [
        ("fetch_model", {}),
        *[("collect_docstrings", {})] * study.collects_docstrings,
        *(("tokenize_text", {"part": part}) for part in study.settings["text"]),
        ("tokenize_prompts", {}),
        *(
            ("read_quantiles", {"scope": scope})
            for scope in scopes
            if study.settings["method"] == "threshold"
        ),
        *(("choose_thresholds", choice) for choice in study.thresholds),
        *(("allocate_biases", {"allocation": name}) for name in allocations),
        *(("train_spon", run) for run in learned if study.learning(run) == TRAINED),
        *(("average_residual", run) for run in learned if study.learning(run) == MEAN_RESIDUAL),
        *(
            (baselines.get(names["allocation"], "evaluate_spon"), names)
            for names in study.evaluations
        ),
        *(("evaluate_on_dense", run) for run in study.adaptations),
        *(("evaluate_draws", run) for run in study.runs(RANDOM)),
        *((rule, run) for rule in by_run for run in study.analysed),
        *((rule, {}) for rule in by_study),
    ]
    return [{"rule": rule, **wildcards} for rule, wildcards in jobs]
