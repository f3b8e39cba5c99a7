"""From a model and text to blocks of tokens."""


rule fetch_model:
    """Pin the model: its files, their digests and its shape."""
    input:
        model_files,
    output:
        model="results/{study}/model.json",
    log:
        "logs/{study}/fetch_model.log",
    benchmark:
        "benchmarks/{study}/fetch_model.tsv"
    conda:
        "../../envs/model.yaml"
    params:
        spec=spec("fetch_model.py", model=lambda wildcards: study(wildcards)["model"]),
    script:
        "../scripts/fetch_model.py"


rule collect_docstrings:
    """Read the pydoc corpus out of the installed packages, without duplicates, split by source file."""
    input:
        record=training_record,
    output:
        train="results/{study}/text/train.parquet",
        calibration="results/{study}/text/calibration.parquet",
        evaluation="results/{study}/text/evaluation.parquet",
        corpus="results/{study}/text/corpus.json",
    log:
        "logs/{study}/collect_docstrings.log",
    benchmark:
        "benchmarks/{study}/collect_docstrings.tsv"
    conda:
        "../../envs/model.yaml"
    threads: workflow.cores
    params:
        spec=spec("collect_docstrings.py", pydoc="pydoc", versions=versions),
    script:
        "../scripts/collect_docstrings.py"


rule tokenize_text:
    """Cut a text into blocks of tokens, by the study's protocol."""
    input:
        model=rules.fetch_model.output.model,
        text=corpus,
    output:
        tokens="results/{study}/tokens/{part}.safetensors",
        protocol="results/{study}/tokens/{part}.json",
    log:
        "logs/{study}/tokens/{part}/tokenize_text.log",
    benchmark:
        "benchmarks/{study}/tokens/{part}/tokenize_text.tsv"
    conda:
        "../../envs/model.yaml"
    params:
        spec=spec(
            "tokenize_text.py",
            text=lambda wildcards: study(wildcards)["text"][wildcards.part],
            protocol=lambda wildcards: study(wildcards)["protocol"],
        ),
    script:
        "../scripts/tokenize_text.py"


rule tokenize_prompts:
    """Turn the prompts of five categories into tokens."""
    input:
        model=rules.fetch_model.output.model,
        prompts=config["analyses"]["prompts"],
    output:
        prompts="results/{study}/tokens/prompts.safetensors",
    log:
        "logs/{study}/tokens/tokenize_prompts.log",
    benchmark:
        "benchmarks/{study}/tokens/tokenize_prompts.tsv"
    conda:
        "../../envs/model.yaml"
    params:
        spec=spec(
            "tokenize_prompts.py",
            protocol=lambda wildcards: study(wildcards)["protocol"],
        ),
    script:
        "../scripts/tokenize_prompts.py"


CALIBRATION = rules.tokenize_text.output.tokens.replace("{part}", "calibration")
EVALUATION = rules.tokenize_text.output.tokens.replace("{part}", "evaluation")
