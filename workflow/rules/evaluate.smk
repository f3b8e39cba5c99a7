"""Held-out likelihood. Dense and TEAL are the SPON evaluation with inputs left out.

The dense model alone has to predict better than a guess: that a sparse one does not is what a study
finds out at high sparsity, a number like any other.
"""

from spon.allocate import MODE, RANDOM
from spon.sites import DENSE, TEAL
from spon.study import name_baseline

SIZES = ["evaluate.batch_tokens", "evaluate.chunk_tokens"]


def imitated(wildcards):
    """The biases whose lengths random directions take on."""
    run = study(wildcards).allocations[wildcards.allocation].norms_of
    return fill(rules.train_spon.output.biases, allocation=run)


def is_centred(wildcards):
    """Whether a run's inputs are sparsified around centres."""
    return study(wildcards).allocations[wildcards.allocation].learn == MODE


def names_of_teal(wildcards):
    """What a file of a TEAL baseline calls itself."""
    return name_baseline(TEAL, wildcards.scope, float(wildcards.sparsity))


rule evaluate_spon:
    """Evaluate a run: negative log-likelihood and KL to the dense model, per held-out block."""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        calibration=CALIBRATION,
        thresholds=branch(
            is_centred, rules.centre_on_mode.output.thresholds, otherwise=thresholds
        ),
        centres=branch(is_centred, rules.centre_on_mode.output.centres),
        sites=rules.allocate_biases.output.sites,
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
        **MODEL,
    params:
        spec=spec(
            "evaluate.py",
            *SIZES,
            "evaluate.temperature_blocks",
            names=names_of_run,
            sparsification=sparsified(),
            worse_than_guessing="allow",
        ),
    script:
        "../scripts/evaluate.py"


use rule evaluate_spon as evaluate_teal with:
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        calibration=CALIBRATION,
        thresholds=rules.choose_thresholds.output.thresholds,
    output:
        nll="results/{study}/{scope}/s{sparsity}/teal/nll.parquet",
    log:
        "logs/{study}/{scope}/s{sparsity}/teal/evaluate_teal.log",
    benchmark:
        "benchmarks/{study}/{scope}/s{sparsity}/teal/evaluate_teal.tsv"
    params:
        spec=spec(
            "evaluate.py",
            *SIZES,
            "evaluate.temperature_blocks",
            names=names_of_teal,
            sparsification=sparsified(),
            worse_than_guessing="allow",
        ),


use rule evaluate_spon as evaluate_dense with:
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        calibration=CALIBRATION,
    output:
        nll="results/{study}/dense/nll.parquet",
    log:
        "logs/{study}/dense/evaluate_dense.log",
    benchmark:
        "benchmarks/{study}/dense/evaluate_dense.tsv"
    params:
        spec=spec(
            "evaluate.py",
            *SIZES,
            "evaluate.temperature_blocks",
            "evaluate.worse_than_guessing",
            names=name_baseline(DENSE),
            sparsification=sparsified("no_sparsification"),
        ),


use rule evaluate_dense as evaluate_on_dense with:
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        calibration=CALIBRATION,
        sites=rules.allocate_biases.output.sites,
        biases=rules.train_spon.output.biases,
    output:
        nll="results/{study}/{allocation}/s{sparsity}/seed{seed}/on_dense.parquet",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/evaluate_on_dense.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/evaluate_on_dense.tsv"
    wildcard_constraints:
        allocation=learned_around_zero(),
    params:
        spec=spec(
            "evaluate.py",
            *SIZES,
            "evaluate.temperature_blocks",
            names=names_of_run,
            sparsification=sparsified("no_sparsification"),
            worse_than_guessing="allow",
        ),


rule evaluate_draws:
    """Evaluate biases that point anywhere, each as long as that of a run: a control."""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        thresholds=thresholds,
        sites=rules.allocate_biases.output.sites,
        biases=imitated,
    output:
        draws="results/{study}/{allocation}/s{sparsity}/seed{seed}/draws.parquet",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/evaluate_draws.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/evaluate_draws.tsv"
    wildcard_constraints:
        allocation=learned_by(RANDOM),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "evaluate_draws.py",
            *SIZES,
            "controls.draws",
            "controls.draw_blocks",
            names=lambda wildcards: {
                "norms_of": study(wildcards)
                .allocations[wildcards.allocation]
                .norms_of,
                **names_of_run(wildcards),
            },
            sparsification=sparsified(),
        ),
    script:
        "../scripts/evaluate_draws.py"


use rule evaluate_spon as evaluate_spon_further with:
    input:
        model=rules.fetch_model.output.model,
        tokens=rules.tokenize_text.output.tokens,
        fitted=rules.evaluate_spon.output.nll,
        thresholds=branch(
            is_centred, rules.centre_on_mode.output.thresholds, otherwise=thresholds
        ),
        centres=branch(is_centred, rules.centre_on_mode.output.centres),
        sites=rules.allocate_biases.output.sites,
        biases=rules.train_spon.output.biases,
    output:
        nll="results/{study}/{allocation}/s{sparsity}/seed{seed}/nll.{part}.parquet",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/{part}/evaluate_spon_further.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/{part}/evaluate_spon_further.tsv"
    wildcard_constraints:
        part=FURTHER,
    params:
        spec=spec(
            "evaluate.py",
            *SIZES,
            names=names_of_run,
            sparsification=sparsified(),
            worse_than_guessing="allow",
        ),


use rule evaluate_spon as evaluate_teal_further with:
    input:
        model=rules.fetch_model.output.model,
        tokens=rules.tokenize_text.output.tokens,
        fitted=rules.evaluate_teal.output.nll,
        thresholds=rules.choose_thresholds.output.thresholds,
    output:
        nll="results/{study}/{scope}/s{sparsity}/teal/nll.{part}.parquet",
    log:
        "logs/{study}/{scope}/s{sparsity}/teal/{part}/evaluate_teal_further.log",
    benchmark:
        "benchmarks/{study}/{scope}/s{sparsity}/teal/{part}/evaluate_teal_further.tsv"
    wildcard_constraints:
        part=FURTHER,
    params:
        spec=spec(
            "evaluate.py",
            *SIZES,
            names=names_of_teal,
            sparsification=sparsified(),
            worse_than_guessing="allow",
        ),


use rule evaluate_spon as evaluate_dense_further with:
    input:
        model=rules.fetch_model.output.model,
        tokens=rules.tokenize_text.output.tokens,
        fitted=rules.evaluate_dense.output.nll,
    output:
        nll="results/{study}/dense/nll.{part}.parquet",
    log:
        "logs/{study}/dense/{part}/evaluate_dense_further.log",
    benchmark:
        "benchmarks/{study}/dense/{part}/evaluate_dense_further.tsv"
    wildcard_constraints:
        part=FURTHER,
    params:
        spec=spec(
            "evaluate.py",
            *SIZES,
            "evaluate.worse_than_guessing",
            names=name_baseline(DENSE),
            sparsification=sparsified("no_sparsification"),
        ),


describe(
    evaluate_teal="Evaluate a TEAL baseline: a scope sparsified at a sparsity, without biases.",
    evaluate_dense="Evaluate the dense model.",
    evaluate_on_dense="Evaluate a run's biases on the dense model: what they gain there is no repair.",
    evaluate_spon_further="Evaluate a run on a further text.",
    evaluate_teal_further="Evaluate a TEAL baseline on a further text.",
    evaluate_dense_further="Evaluate the dense model on a further text.",
)
