"""What the studies of the sweep will cost, before any job runs. Never part of the default target.

Nothing is downloaded, and benchmark files are no inputs, else planning would first run the study.
"""


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
            jobs=list_jobs,
            machine=machine,
            benchmarks=benchmarks_so_far,
        ),
    script:
        "../scripts/write_plan.py"


rule plan:
    """Plan what the studies of the sweep will cost (not part of the default)."""
    input:
        plans,
