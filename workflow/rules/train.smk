"""Where biases go, and what they learn."""

from spon.allocate import FISHER, MEAN_RESIDUAL, MODE, RANDOM, TRAINED


def recipe():
    """The settings by which biases are learned; how to judge a training is left to its table."""
    return {
        name: value for name, value in config["train"].items() if name != "allow_worse"
    }


def learned_by(way):
    """Pattern of the allocations whose biases are learned in this way."""
    catalogue = SWEPT[0].allocations.values()
    return any_of(one.name for one in catalogue if one.learn == way)


def learned_around_zero():
    """Pattern of the allocations whose inputs are sparsified around zero, and not around a mode."""
    catalogue = SWEPT[0].allocations.values()
    return any_of(one.name for one in catalogue if one.learn not in (MODE, RANDOM))


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
        spec=spec(
            "allocate_biases.py",
            allocation=lambda wildcards: study(wildcards).describe_sites(
                wildcards.allocation
            ),
        ),
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
        allocation=learned_by(TRAINED),
        study=any_of(WITH_MODEL),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "train_spon.py",
            "memory_gib",
            train=recipe(),
            names=names_of_run,
            sparsification=sparsified(),
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
        allocation=learned_by(MEAN_RESIDUAL),
        study=any_of(WITH_MODEL),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "average_residual.py",
            "train.blocks",
            "train.order",
            "calibrate.batch_tokens",
            names=names_of_run,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/average_residual.py"


rule take_newton_step:
    """Take biases that one Newton step in the Fisher metric gives: a control between mean and training."""
    input:
        model=rules.fetch_model.output.model,
        tokens=CALIBRATION,
        thresholds=thresholds,
        sites=rules.allocate_biases.output.sites,
    output:
        biases="results/{study}/{allocation}/s{sparsity}/seed{seed}/biases.safetensors",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/take_newton_step.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/take_newton_step.tsv"
    wildcard_constraints:
        allocation=learned_by(FISHER),
        study=any_of(WITH_MODEL),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "take_newton_step.py",
            "train.blocks",
            "train.order",
            "train.chunk_tokens",
            "calibrate.batch_tokens",
            "memory_gib",
            names=names_of_run,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/take_newton_step.py"


rule centre_on_mode:
    """Sparsify inputs around their mode, whose image is a bias that nobody learns: SCAP, a control."""
    input:
        model=rules.fetch_model.output.model,
        tokens=CALIBRATION,
        evaluation=EVALUATION,
        thresholds=thresholds,
        sites=rules.allocate_biases.output.sites,
    output:
        biases="results/{study}/{allocation}/s{sparsity}/seed{seed}/biases.safetensors",
        centres="results/{study}/{allocation}/s{sparsity}/seed{seed}/centres.safetensors",
        thresholds="results/{study}/{allocation}/s{sparsity}/seed{seed}/thresholds.csv",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/centre_on_mode.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/centre_on_mode.tsv"
    wildcard_constraints:
        allocation=learned_by(MODE),
        study=any_of(WITH_MODEL),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "centre_on_mode.py",
            "calibrate.blocks",
            "calibrate.held_out_blocks",
            "calibrate.batch_tokens",
            names=names_of_run,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/centre_on_mode.py"
