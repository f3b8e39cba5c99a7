"""From a model and text to blocks of tokens.

Files that no rule makes are `local`: a module's prefix is for what it makes.
"""

from platform import python_version

from spon.inputs.corpus import read_versions
from spon.inputs.files import digest_files, find_files
from spon.inputs.folder import list_files
from spon.inputs.gguf import describe_conversion
from spon.inputs.source import is_converted


def model_files(wildcards):
    """The files that a local model is read from, so that another one in its place is noticed."""
    model = study(wildcards).settings["model"]
    if "gguf" in model:
        return local([model["gguf"]])
    if "path" not in model:
        return []
    folder = Path(model["path"])
    return local([str(folder / name) for name in list_files(folder)])


def training_record(wildcards):
    """What a local model says that it was trained on, if it does."""
    folder = study(wildcards).settings["model"].get("path")
    record = Path(folder or "", "record.json")
    return local(str(record)) if folder and record.exists() else []


def conversion(wildcards):
    """How a model that is a GGUF file becomes a folder; None of any other."""
    converted = is_converted(study(wildcards).settings["model"])
    return describe_conversion() if converted else None


rule fetch_model:
    """Pin the model: its files, their digests and its shape; compare it with transformers' own."""
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
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "fetch_model.py",
            files=lambda wildcards: digest_files(model_files(wildcards)),
            model=lambda wildcards: study(wildcards).settings["model"],
            conversion=conversion,
            dtype=lambda wildcards: study(wildcards).settings["dtype"],
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
    resources:
        **SMALL,
    params:
        spec=spec(
            "collect_docstrings.py",
            "pydoc",
            versions=lambda _: read_versions(config["pydoc"]["packages"]),
        ),
    script:
        "../scripts/collect_docstrings.py"


rule collect_topics:
    """Read the reference of the Python language that this interpreter ships."""
    output:
        topics="results/{study}/text/topics.parquet",
    log:
        "logs/{study}/collect_topics.log",
    benchmark:
        "benchmarks/{study}/collect_topics.tsv"
    conda:
        "../../envs/model.yaml"
    resources:
        **SMALL,
    params:
        spec=spec(
            "collect_topics.py",
            "pydoc.shingle_words",
            "pydoc.duplicate_share",
            python=python_version(),
        ),
    script:
        "../scripts/collect_topics.py"


def settings_of_text(wildcards):
    """The settings of a text."""
    parts = study(wildcards).settings["text"]
    if wildcards.part not in parts:
        raise WorkflowError(
            f"text: the study '{wildcards.study}' has none called '{wildcards.part}': allowed are {', '.join(parts)}"
        )
    return parts[wildcards.part]


def text_files(wildcards):
    """The corpus that a text comes from, or the local files that it is read from."""
    chosen = settings_of_text(wildcards)
    if chosen["path"] == "pydoc":
        return [rules.collect_docstrings.output[chosen["split"]]]
    if chosen["path"] == "python_reference":
        return [rules.collect_topics.output.topics]
    return local(find_files(chosen))


def digest_text(wildcards):
    """Of local files: Snakemake compares the contents of an input only where it is newer."""
    return digest_files(find_files(settings_of_text(wildcards)))


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
    resources:
        **SMALL,
    params:
        spec=spec(
            "tokenize_text.py",
            text=settings_of_text,
            files=digest_text,
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
    resources:
        **SMALL,
    params:
        spec=spec(
            "tokenize_prompts.py",
            files=lambda _: digest_files([config["analyses"]["prompts"]]),
            protocol=lambda wildcards: study(wildcards).settings["protocol"],
        ),
    script:
        "../scripts/tokenize_prompts.py"


CALIBRATION = fill(rules.tokenize_text.output.tokens, part="calibration")
EVALUATION = fill(rules.tokenize_text.output.tokens, part="evaluation")
