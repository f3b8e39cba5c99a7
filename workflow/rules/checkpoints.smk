"""Biases that were learned elsewhere, as runs of a study without a model."""


def checkpoint(wildcards):
    """The file of an imported run."""
    wanted = {
        "allocation": wildcards.allocation,
        "sparsity": float(wildcards.sparsity),
        "seed": int(wildcards.seed),
    }
    runs = study(wildcards).checkpoints
    return local(next(run["file"] for run in runs if run.items() >= wanted.items()))


def layers_of_model(wildcards):
    """How many layers the model has that the checkpoints belong to."""
    return study(wildcards).settings["layers"]


rule import_checkpoint:
    """Import the biases of a checkpoint, its pickle read safely, as a run."""
    input:
        checkpoint=checkpoint,
    output:
        biases="results/{study}/{allocation}/s{sparsity}/seed{seed}/biases.safetensors",
    log:
        "logs/{study}/{allocation}/s{sparsity}/seed{seed}/import_checkpoint.log",
    benchmark:
        "benchmarks/{study}/{allocation}/s{sparsity}/seed{seed}/import_checkpoint.tsv"
    wildcard_constraints:
        study=any_of(BIASES_ALONE),
    conda:
        "../../envs/model.yaml"
    params:
        spec=spec("import_checkpoint.py", layers=layers_of_model),
    script:
        "../scripts/import_checkpoint.py"


rule list_checkpoints:
    """List the checkpoints of a study, with their digests."""
    input:
        checkpoints=lambda wildcards: local(
            [run["file"] for run in study(wildcards).checkpoints]
        ),
    output:
        checkpoints="results/{study}/checkpoints.json",
    log:
        "logs/{study}/list_checkpoints.log",
    benchmark:
        "benchmarks/{study}/list_checkpoints.tsv"
    conda:
        "../../envs/model.yaml"
    params:
        spec=spec("list_checkpoints.py", layers=layers_of_model),
    script:
        "../scripts/list_checkpoints.py"
