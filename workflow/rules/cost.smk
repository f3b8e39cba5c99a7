"""What a study will cost, and what it did. Never part of the default target.

Nothing is downloaded to plan. Benchmark files are missing on a clone, and are no inputs either, else
planning would first run the study, and counting would rerun whatever is out of date.
"""

import json
from glob import glob
from hashlib import sha256

from spon.inputs import source
from spon.inputs.shape import look_up
from spon.cost import jobs


def benchmarks_so_far(wildcards):
    """The benchmark files that a study's jobs have left so far, by path, with their digests."""
    folder = Path(rules.fetch_model.benchmark.format(study=wildcards.study)).parent
    files = sorted(glob(f"{folder.as_posix()}/**/*.tsv", recursive=True))
    names = rule_files(wildcards)
    return {
        path: sha256(Path(path).read_bytes()).hexdigest()[:16]
        for path in files
        if Path(path).stem in names
    }


def rule_files(wildcards):
    """The file of rules that each rule stands in, by name."""
    with_logs = [one for one in workflow.rules if one.log]
    return {
        name_of(one): Path(one.snakefile).stem
        for one in with_logs
        if Path(one.snakefile).is_relative_to(ROOT)
    }


def benchmarks(wildcards):
    """These files of a study that has some."""
    files = benchmarks_so_far(wildcards)
    if not files:
        raise WorkflowError(
            f"cost: benchmarks/{wildcards.study} holds no benchmark file: only a study that was run here has a cost"
        )
    return files


rule count_cost:
    """Count what a study cost, rule by rule, from the benchmark files that its jobs left."""
    output:
        cost="results/{study}/cost.json",
    log:
        "logs/{study}/count_cost.log",
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("count_cost.py", benchmarks=benchmarks, rule_files=rule_files),
    script:
        "../scripts/count_cost.py"


rule plot_cost:
    """Plot what a study cost."""
    input:
        cost=rules.count_cost.output.cost,
    output:
        png=report(
            "figures/{study}/cost.png",
            caption="../report/cost.rst",
            category="{study}",
            subcategory="cost",
            labels={"file": "what the study cost"},
        ),
        pdf="figures/{study}/cost.pdf",
    log:
        "logs/{study}/plot_cost.log",
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("plot_cost.py"),
    script:
        "../scripts/plot_cost.py"


rule cost:
    """Count and draw what the studies of the sweep cost (not part of the default)."""
    input:
        expand(rules.plot_cost.output, study=[one.name for one in SWEPT]),


def shape(wildcards):
    """The shape of a study's model, without its weights where they are not here."""
    model = study(wildcards).settings["model"]
    if "path" in model:
        return source.foresee(model, settings.SHAPES)
    pinned = rules.fetch_model.output.model.format(study=wildcards.study)
    described = json.loads(Path(pinned).read_text()) if Path(pinned).exists() else {}
    # That of an older version says too little.
    if described.get("source") == model and "linear_weights" in described["shape"]:
        return described["shape"]
    named = next(model[kind] for kind in settings.KINDS if kind in model)
    try:
        return source.foresee(model, settings.SHAPES) or look_up(named, settings.SHAPES)
    except ValueError as unknown:
        # Told by the job: Snakemake tells what fails here with a traceback.
        return {"unknown": f"plan: {unknown}: run `snakemake {pinned}` first"}


def jobs_of_study(wildcards):
    """All jobs of a study, by rule, with what decides their size."""
    chosen = study(wildcards)
    by_study = (
        BY_STUDY
        + list_figures(chosen)
        + [
            rules.tabulate_trainings,
            rules.tabulate,
            rules.tabulate_controls,
            rules.write_headline,
            rules.write_metrics,
            rules.decide_claims,
            rules.describe_environment,
            rules.write_findings,
            rules.render_page,
        ]
        + [rules.compare_texts] * bool(chosen.further_texts)
        + [rules.compare_methods] * (chosen.name in REFERENCES)
    )
    return jobs.list_jobs(
        chosen,
        by_run=list(map(name_of, BY_RUN)),
        by_study=list(map(name_of, by_study)),
    )


def machine(wildcards):
    """How many jobs run at one time, and whether models run on a GPU."""
    teraflops = config["plan"]["teraflops"]
    return {
        "gpu": bool(GPU or teraflops),
        "teraflops": teraflops,
        "cores": min(workflow.cores, CPUS),
        "side_by_side": max(
            1, min(workflow.cores // MODEL_CORES, CPUS // TORCH_THREADS)
        ),
    }


def plans(wildcards):
    """The plan of every study that has a model."""
    if not WITH_MODEL:
        raise WorkflowError(
            "plan: the sweep's studies have checkpoints alone and run no model, so there is nothing to plan"
        )
    return expand(rules.write_plan.output, study=WITH_MODEL)


rule measure_rate:
    """Measure how fast this machine computes, on a cut of a study's model with random weights."""
    output:
        rate="results/{study}/rate.json",
    log:
        "logs/{study}/measure_rate.log",
    conda:
        "../../envs/model.yaml"
    threads: workflow.cores
    resources:
        **MODEL | {"gpu": lambda wildcards: GPU * (config["plan"]["teraflops"] is None)},
    params:
        spec=spec(
            "measure_rate.py",
            shape=shape,
            settings=of_study("settings_of_rate"),
            machine=machine,
        ),
    script:
        "../scripts/measure_rate.py"


rule write_plan:
    """Write and show what a study will cost: jobs, operations, time, disk and memory."""
    input:
        rate=rules.measure_rate.output.rate,
        prompts=local(config["analyses"]["prompts"]),
    output:
        plan="results/{study}/plan.json",
    log:
        "logs/{study}/write_plan.log",
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec(
            "write_plan.py",
            shape=shape,
            settings=of_study("settings_of_plan"),
            jobs=jobs_of_study,
            machine=machine,
            benchmarks=benchmarks_so_far,
            rule_files=rule_files,
        ),
    script:
        "../scripts/write_plan.py"


rule plan:
    """Plan what the studies of the sweep will cost (not part of the default)."""
    input:
        plans,
