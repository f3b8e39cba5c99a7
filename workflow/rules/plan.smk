"""What the studies of the sweep will cost, before any job runs. Never part of the default target.

Nothing is downloaded, and benchmark files are no inputs, else planning would first run the study.
"""

import json

from spon import shapes, source
from spon.cost import jobs


def shape(wildcards):
    """The shape of a study's model, without its weights where they are not here."""
    model = study(wildcards).settings["model"]
    if "path" in model:
        return source.read_shape(Path(model["path"]))
    pinned = rules.fetch_model.output.model.format(study=wildcards.study)
    described = json.loads(Path(pinned).read_text()) if Path(pinned).exists() else {}
    if described.get("source") == model:
        return described["shape"]
    try:
        return shapes.look_up(model["repository"], settings.SHAPES)
    except ValueError as unknown:
        # Told by the job: Snakemake tells what fails here with a traceback.
        return {"unknown": f"plan: {unknown}: run `snakemake {pinned}` first"}


def jobs_of_study(wildcards):
    """All jobs of a study, by rule, with what decides their size."""
    by_study = (
        BY_STUDY
        + FIGURES
        + [
            rules.tabulate,
            rules.tabulate_controls,
            rules.write_headline,
            rules.decide_claims,
            rules.describe_environment,
            rules.write_findings,
            rules.render_page,
        ]
    )
    return jobs.list_jobs(
        study(wildcards),
        by_run=[rule.rule.name for rule in BY_RUN],
        by_study=[rule.rule.name for rule in by_study],
    )


def settings_of_rate(wildcards):
    """What decides how fast a study's model runs."""
    chosen = study(wildcards)
    return {
        "dtype": chosen.settings["dtype"],
        "method": chosen.settings["method"],
        "block_length": chosen.settings["protocol"]["block_length"],
        "teraflops": config["plan"]["teraflops"],
        "memory_gib": config["memory_gib"],
        "train": config["train"],
        "evaluate": config["evaluate"],
        "pydoc": config["pydoc"] if chosen.collects_docstrings else None,
    }


def settings_of_plan(wildcards):
    """What decides how much a study computes."""
    sections = ("calibrate", "train", "evaluate", "controls", "analyses")
    catalogues = ("scopes", "allocations", "memory_gib")
    return study(wildcards).settings | {
        key: config[key] for key in (*sections, *catalogues)
    }


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
    """Measure how fast this machine is at what a study computes, on a cut of its model with random weights."""
    output:
        rate="results/{study}/rate.json",
    log:
        "logs/{study}/measure_rate.log",
    conda:
        "../../envs/model.yaml"
    threads: workflow.cores
    resources:
        gpu=lambda wildcards: GPU * (config["plan"]["teraflops"] is None),
        torch_threads=TORCH_THREADS,
    params:
        spec=spec(
            "measure_rate.py",
            shape=shape,
            settings=settings_of_rate,
            machine=machine,
        ),
    script:
        "../scripts/measure_rate.py"


rule write_plan:
    """Write and show what a study will cost: jobs, operations, time, disk and memory."""
    input:
        rate=rules.measure_rate.output.rate,
        prompts=config["analyses"]["prompts"],
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
            settings=settings_of_plan,
            jobs=jobs_of_study,
            machine=machine,
            benchmarks=benchmarks_so_far,
        ),
    script:
        "../scripts/write_plan.py"


rule plan:
    """Plan what the studies of the sweep will cost (not part of the default)."""
    input:
        plans,
