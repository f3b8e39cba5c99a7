"""Thresholds that set the share of a site's inputs to zero that the sweep asks for."""


rule read_quantiles:
    """Measure how large the inputs of every site of a scope are, on the dense model's pass."""
    input:
        model=rules.fetch_model.output.model,
        tokens=CALIBRATION,
    output:
        quantiles="results/{study}/{scope}/quantiles.parquet",
    log:
        "logs/{study}/{scope}/read_quantiles.log",
    benchmark:
        "benchmarks/{study}/{scope}/read_quantiles.tsv"
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        gpu=GPU,
        torch_threads=TORCH_THREADS,
        memory_mib=MEMORY_MIB,
    params:
        spec=spec(
            "read_quantiles.py",
            blocks="calibrate.blocks",
            batch_tokens="calibrate.batch_tokens",
            maps=maps,
            measure=measure,
        ),
    script:
        "../scripts/read_quantiles.py"


rule choose_thresholds:
    """Choose the thresholds of a scope at a sparsity, and measure on held-out text what they set to zero."""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        quantiles=quantiles,
    output:
        thresholds="results/{study}/{scope}/s{sparsity}/thresholds.csv",
    log:
        "logs/{study}/{scope}/s{sparsity}/choose_thresholds.log",
    benchmark:
        "benchmarks/{study}/{scope}/s{sparsity}/choose_thresholds.tsv"
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        gpu=GPU,
        torch_threads=TORCH_THREADS,
        memory_mib=MEMORY_MIB,
    params:
        spec=spec(
            "choose_thresholds.py",
            held_out_blocks="calibrate.held_out_blocks",
            batch_tokens="calibrate.batch_tokens",
            maps=maps,
            measure=measure,
        ),
    script:
        "../scripts/choose_thresholds.py"
