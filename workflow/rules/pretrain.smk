"""The reference model. Never part of the default target, which reads resources/models/pydoc."""


rule pretrain_model:
    """Train the reference model from scratch on the pydoc corpus; goes on where it was stopped."""
    input:
        train=fill(rules.collect_docstrings.output.train, study="pydoc"),
        calibration=fill(rules.collect_docstrings.output.calibration, study="pydoc"),
        corpus=fill(rules.collect_docstrings.output.corpus, study="pydoc"),
    output:
        expand(
            "pretrained/pydoc/{file}",
            file=[
                "model.safetensors",
                "config.json",
                "tokenizer.json",
                "tokenizer_config.json",
            ],
        ),
        curve="pretrained/pydoc/curve.csv",
        record="pretrained/pydoc/record.json",
    log:
        "logs/pretrain_model.log",
    benchmark:
        "benchmarks/pretrain_model.tsv"
    conda:
        "../../envs/model.yaml"
    threads: workflow.cores
    resources:
        gpu=GPU,
        torch_threads=CPUS,
        mem_mb=lambda _, attempt: (
            batch.ask_memory(batch.SMALL_GIB, attempt, "cuda")
            if GPU
            else batch.ask_memory(memory.cpu_memory(config["memory_gib"]), attempt)
        ),
        runtime=lambda _, attempt: batch.ask_minutes(None, attempt),
        cpus_per_task=config["threads"],
    params:
        spec=spec("pretrain_model.py", "pretrain"),
    script:
        "../scripts/pretrain_model.py"


rule plot_pretraining:
    """Plot the reference model's loss on held-out text against the tokens that it has seen."""
    input:
        curve=rules.pretrain_model.output.curve,
    output:
        png="pretrained/pydoc/curve.png",
        pdf="pretrained/pydoc/curve.pdf",
    log:
        "logs/plot_pretraining.log",
    benchmark:
        "benchmarks/plot_pretraining.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("plot_figure.py"),
    script:
        "../scripts/plot_figure.py"


rule pretrain:
    """Train the reference model and plot its loss (an hour on two cores; not in the default)."""
    input:
        rules.pretrain_model.output,
        rules.plot_pretraining.output,
