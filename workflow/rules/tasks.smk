"""Tasks of lm-evaluation-harness, measured on the sparse model itself. Never part of the default target.

Once they were measured, the findings show them.
"""

from spon.sites import DENSE, TEAL
from spon.tasks import catalogue
from spon.tasks.local import SUMMARIES, list_task_files, read_task

SHIPPED = settings.resolve_path("resources/tasks/summaries.yaml", ROOT)
OF_TASKS = [
    f"tasks.{key}" for key in ("hub", "shots", "limit", "batch_requests", "seed")
]

GIVEN_TASKS = [
    settings.resolve_path(path, ROOT)
    for path in config["tasks"]["local"]
    if path != SUMMARIES
]
try:
    TASK_FILES = list_task_files(GIVEN_TASKS)
except ValueError as mistake:
    raise WorkflowError(f"config: {mistake}") from mistake
if SUMMARIES in config["tasks"]["local"] and "pydoc" not in config:
    raise WorkflowError(
        "config: tasks.local has 'summaries', but the config has no key pydoc that says of what"
    )


def require_harness(jobs):
    """End with a sentence if tasks are to be measured that the lm-eval here does not know, or none is here.

    Where Snakemake deploys environments, only the jobs can tell.
    """
    named = {Path(path).stem for job in jobs for path in job.log}
    if workflow.deployment_settings.deployment_method or not any(
        name.startswith("run_tasks") for name in named
    ):
        return
    try:
        catalogue.require_known(config["tasks"]["hub"])
        for path in GIVEN_TASKS:
            catalogue.require_metrics(path, read_task(path))
    except ValueError as mistake:
        raise WorkflowError(f"config: {mistake}") from mistake


rule write_task:
    """Write the documents of the task `summaries`, out of held-out docstrings."""
    input:
        docstrings=rules.collect_docstrings.output.evaluation,
    output:
        documents="results/{study}/text/summaries.jsonl",
    log:
        "logs/{study}/write_task.log",
    benchmark:
        "benchmarks/{study}/write_task.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("write_task.py", "tasks.seed"),
    script:
        "../scripts/write_task.py"


HAS_SUMMARIES = SUMMARIES in config["tasks"]["local"]
FILES_OF_TASKS = {
    "tasks": local([SHIPPED] * HAS_SUMMARIES + TASK_FILES),
    "documents": rules.write_task.output.documents if HAS_SUMMARIES else [],
}
LOCAL_TASKS = {
    "paths": [SHIPPED] * HAS_SUMMARIES + GIVEN_TASKS,
    "files": digest_files([SHIPPED] * HAS_SUMMARIES + TASK_FILES),
}


rule run_tasks_spon:
    """Measure tasks with a run, document by document."""
    input:
        **FILES_OF_TASKS,
        model=rules.fetch_model.output.model,
        thresholds=branch(
            is_centred, rules.centre_on_mode.output.thresholds, otherwise=thresholds
        ),
        centres=branch(is_centred, rules.centre_on_mode.output.centres),
        sites=rules.allocate_biases.output.sites,
        biases=rules.train_spon.output.biases,
    output:
        tasks="results/{study}/{allocation}/s{sparsity}/seed{seed}/tasks.parquet",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/run_tasks_spon.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/run_tasks_spon.tsv"
    conda:
        "../../envs/tasks.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "run_tasks.py",
            *OF_TASKS,
            **LOCAL_TASKS,
            names=names_of_run,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/run_tasks.py"


use rule run_tasks_spon as run_tasks_teal with:
    input:
        **FILES_OF_TASKS,
        model=rules.fetch_model.output.model,
        thresholds=rules.choose_thresholds.output.thresholds,
    output:
        tasks="results/{study}/{scope}/s{sparsity}/teal/tasks.parquet",
    log:
        "logs/{study}/{scope}/s{sparsity}/teal/run_tasks_teal.log",
    benchmark:
        "benchmarks/{study}/{scope}/s{sparsity}/teal/run_tasks_teal.tsv"
    params:
        spec=spec(
            "run_tasks.py",
            *OF_TASKS,
            **LOCAL_TASKS,
            names=names_of_teal,
            sparsification=sparsified(),
        ),


use rule run_tasks_teal as run_tasks_tempered with:
    input:
        **FILES_OF_TASKS,
        model=rules.fetch_model.output.model,
        thresholds=rules.choose_thresholds.output.thresholds,
        fitted=rules.evaluate_teal.output.nll,
    output:
        tasks="results/{study}/{scope}/s{sparsity}/teal/tasks.tempered.parquet",
    log:
        "logs/{study}/{scope}/s{sparsity}/teal/run_tasks_tempered.log",
    benchmark:
        "benchmarks/{study}/{scope}/s{sparsity}/teal/run_tasks_tempered.tsv"


use rule run_tasks_spon as run_tasks_dense with:
    input:
        **FILES_OF_TASKS,
        model=rules.fetch_model.output.model,
    output:
        tasks="results/{study}/dense/tasks.parquet",
    log:
        "logs/{study}/dense/run_tasks_dense.log",
    benchmark:
        "benchmarks/{study}/dense/run_tasks_dense.tsv"
    params:
        spec=spec(
            "run_tasks.py",
            *OF_TASKS,
            **LOCAL_TASKS,
            names=name_baseline(DENSE),
            sparsification=sparsified("no_sparsification"),
        ),


describe(
    run_tasks_teal="Measure tasks with a TEAL baseline.",
    run_tasks_tempered="Measure tasks with a TEAL baseline at the temperature that suits it best.",
    run_tasks_dense="Measure tasks with the dense model.",
)


def outcomes_of_tasks(wildcards):
    """What every model of a study did in the tasks."""
    makers = {
        (DENSE, False): rules.run_tasks_dense,
        (TEAL, False): rules.run_tasks_teal,
        (TEAL, True): rules.run_tasks_tempered,
    }
    found = []
    for names in study(wildcards).models_of_tasks:
        key = names["allocation"], names["tempered"]
        maker = makers.get(key, rules.run_tasks_spon)
        found.append(fill(maker.output.tasks, study=wildcards.study, **names))
    return found


rule tabulate_tasks:
    """Tabulate tasks, with the paired differences between dense, TEAL and runs."""
    input:
        tasks=outcomes_of_tasks,
    output:
        tasks=table("tasks"),
    log:
        "logs/{study}/tabulate_tasks.log",
    benchmark:
        "benchmarks/{study}/tabulate_tasks.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("tabulate_tasks.py", models=of_study("models_of_tasks")),
    script:
        "../scripts/tabulate_tasks.py"


rule plot_tasks:
    """Plot figure 10: what sparsity and biases change in tasks."""
    input:
        tasks=rules.tabulate_tasks.output.tasks[0],
    output:
        **pictures("fig10_tasks", "10 tasks"),
    log:
        "logs/{study}/plot_tasks.log",
    benchmark:
        "benchmarks/{study}/plot_tasks.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("plot_tasks.py"),
    script:
        "../scripts/plot_tasks.py"


WITH_TASKS = [one.name for one in SWEPT if one.has_tasks]


def has_measured_tasks(study):
    """Whether a study has the table of its tasks: the findings do not make it, and show it if it is there."""
    made = fill(rules.tabulate_tasks.output.tasks[0], study=study.name)
    return study.has_tasks and Path(made).exists()


def files_of_tasks(wildcards):
    """The table and the figure of every study with tasks."""
    if not WITH_TASKS:
        raise WorkflowError(
            "config: tasks.local and tasks.hub are empty: name a task in a config of yours, such as "
            "`tasks: {local: [summaries]}`, and give it with --configfile"
        )
    return [
        path
        for rule in (rules.tabulate_tasks, rules.plot_tasks)
        for path in expand(rule.output, study=WITH_TASKS)
    ]


rule tasks:
    """Measure the tasks of the sweep's studies (not part of the default)."""
    input:
        files_of_tasks,
