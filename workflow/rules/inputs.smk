"""From a model and text to blocks of tokens.

Files that no rule makes are `local`: a module's prefix is for what it makes.
"""

from glob import glob

from spon.inputs.corpus import read_versions


def model_files(wildcards):
    """A local model's files, so that another model under the same name is noticed."""
    folder = study(wildcards).settings["model"].get("path")
    return local(sorted(map(str, Path(folder).glob("*.[js]*")))) if folder else []


def training_record(wildcards):
    """What a local model says that it was trained on, if it does."""
    folder = study(wildcards).settings["model"].get("path")
    record = Path(folder or "", "record.json")
    return local(str(record)) if folder and record.exists() else []


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
        spec=spec(
            "fetch_model.py",
            model=lambda wildcards: study(wildcards).settings["model"],
        ),
    script:
        "../scripts/fetch_model.py"


rule collect_docstrings:
    """Read the pydoc corpus out of the installed packages, deduplicated, split by source file."""
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
        spec=spec(
            "collect_docstrings.py",
            "pydoc",
            versions=lambda _: read_versions(config["pydoc"]["packages"]),
        ),
    script:
        "../scripts/collect_docstrings.py"


def text_files(wildcards):
    """The corpus that a text comes from, or the local files that it names."""
    text = study(wildcards).settings["text"][wildcards.part]
    if text["path"] == "pydoc":
        return rules.collect_docstrings.output[text["split"]]
    named = text.get("data_files", [])
    patterns = [named] if isinstance(named, str) else named
    here = [pattern for pattern in patterns if "://" not in pattern]
    return local([file for pattern in here for file in sorted(glob(pattern))])


rule tokenize_text:
    """Cut a text into blocks of tokens, by the study's protocol."""
    input:
        model=rules.fetch_model.output.model,
        text=text_files,
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
            text=lambda wildcards: study(wildcards).settings["text"][wildcards.part],
            protocol=lambda wildcards: study(wildcards).settings["protocol"],
        ),
    script:
        "../scripts/tokenize_text.py"


rule tokenize_prompts:
    """Turn the prompts of five categories into tokens."""
    input:
        model=rules.fetch_model.output.model,
        prompts=local(config["analyses"]["prompts"]),
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
            protocol=lambda wildcards: study(wildcards).settings["protocol"],
        ),
    script:
        "../scripts/tokenize_prompts.py"


CALIBRATION = fill(rules.tokenize_text.output.tokens, part="calibration")
EVALUATION = fill(rules.tokenize_text.output.tokens, part="evaluation")
