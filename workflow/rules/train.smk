"""Where biases go, and what they learn."""


rule allocate_biases:
    """List the sites that get a bias."""
    input:
        model=rules.fetch_model.output.model,
    output:
        sites="results/{study}/{allocation}/sites.csv",
    log:
        "logs/{study}/{allocation}/allocate_biases.log",
    benchmark:
        "benchmarks/{study}/{allocation}/allocate_biases.tsv"
    conda:
        "../../envs/tables.yaml"
    params:
        spec=spec("allocate_biases.py", allocation=allocation),
    script:
        "../scripts/allocate_biases.py"


rule train_spon:
    """Learn the biases that pull the sparse model back to the dense one."""
    input:
        model=rules.fetch_model.output.model,
        tokens=CALIBRATION,
        thresholds=thresholds,
        sites=rules.allocate_biases.output.sites,
    output:
        biases="results/{study}/{allocation}/s{sparsity}/seed{seed}/biases.safetensors",
        curve="results/{study}/{allocation}/s{sparsity}/seed{seed}/curve.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/train_spon.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/train_spon.tsv"
    wildcard_constraints:
        allocation=learned_by("kl"),
        study="|".join(STUDIES) or "(?!)",
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        gpu=GPU,
        torch_threads=TORCH_THREADS,
        memory_mib=MEMORY_MIB,
    params:
        spec=spec(
            "train_spon.py", train="train", measure=measure, memory_gib="memory_gib"
        ),
    script:
        "../scripts/train_spon.py"


rule average_residual:
    """Take the mean of what sparsification takes away as biases: a control that nobody trained."""
    input:
        model=rules.fetch_model.output.model,
        tokens=CALIBRATION,
        thresholds=thresholds,
        sites=rules.allocate_biases.output.sites,
    output:
        biases="results/{study}/{allocation}/s{sparsity}/seed{seed}/biases.safetensors",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/average_residual.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/average_residual.tsv"
    wildcard_constraints:
        allocation=learned_by("mean_residual"),
        study="|".join(STUDIES) or "(?!)",
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        gpu=GPU,
        torch_threads=TORCH_THREADS,
        memory_mib=MEMORY_MIB,
    params:
        spec=spec(
            "average_residual.py",
            blocks="train.blocks",
            order="train.order",
            batch_tokens="calibrate.batch_tokens",
            measure=measure,
        ),
    script:
        "../scripts/average_residual.py"
