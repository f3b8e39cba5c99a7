"""Held-out likelihood. Dense and TEAL are the SPON evaluation with inputs left out."""


rule evaluate_spon:
    """Evaluate a run: negative log-likelihood and KL to the dense model, per held-out block."""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        thresholds=thresholds,
        biases=rules.train_spon.output.biases,
    output:
        nll="results/{study}/{allocation}/s{sparsity}/seed{seed}/nll.parquet",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/evaluate_spon.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/evaluate_spon.tsv"
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        gpu=GPU,
        torch_threads=TORCH_THREADS,
    params:
        spec=spec("evaluate.py", evaluate="evaluate", measure=measure),
    script:
        "../scripts/evaluate.py"


use rule evaluate_spon as evaluate_teal with:
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        thresholds=rules.choose_thresholds.output.thresholds,
    output:
        nll="results/{study}/{scope}/s{sparsity}/teal/nll.parquet",
    log:
        "logs/{study}/{scope}/s{sparsity}/teal/evaluate_teal.log",
    benchmark:
        "benchmarks/{study}/{scope}/s{sparsity}/teal/evaluate_teal.tsv"


use rule evaluate_spon as evaluate_dense with:
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
    output:
        nll="results/{study}/dense/nll.parquet",
    log:
        "logs/{study}/dense/evaluate_dense.log",
    benchmark:
        "benchmarks/{study}/dense/evaluate_dense.tsv"


describe(
    "evaluate_teal",
    "Evaluate a TEAL baseline: a scope sparsified at a sparsity, without biases.",
)
describe("evaluate_dense", "Evaluate the dense model.")
