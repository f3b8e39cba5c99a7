"""Thresholds that set the share of a site's inputs to zero that the sweep asks for."""

from spon.methods.names import BY_RANK, GREEDY

# Studies whose sparsities are chosen map by map.
ALLOCATED = [
    one.name for one in SWEPT if one.has_model and one.settings["method"] == GREEDY
]


def maps(wildcards):
    """The linear maps of a scope."""
    return config["scopes"][wildcards.scope]


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
        **MODEL,
    params:
        spec=spec(
            "read_quantiles.py",
            "calibrate.blocks",
            "calibrate.batch_tokens",
            maps=maps,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/read_quantiles.py"


def quantiles(wildcards):
    """The quantiles that thresholds are read from; ranks need none."""
    by_rank = study(wildcards).settings["method"] == BY_RANK
    return [] if by_rank else rules.read_quantiles.output.quantiles


rule choose_thresholds:
    """Choose the thresholds of a scope at a sparsity, and measure what they set to zero."""
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
    wildcard_constraints:
        study=any_of(name for name in WITH_MODEL if name not in ALLOCATED),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "choose_thresholds.py",
            "calibrate.held_out_blocks",
            "calibrate.batch_tokens",
            maps=maps,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/choose_thresholds.py"


rule choose_greedy_thresholds:
    """Choose the thresholds of a scope at sparsities that TEAL's greedy optimisation gives its maps."""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        calibration=CALIBRATION,
        quantiles=rules.read_quantiles.output.quantiles,
    output:
        thresholds="results/{study}/{scope}/s{sparsity}/thresholds.csv",
    log:
        "logs/{study}/{scope}/s{sparsity}/choose_greedy_thresholds.log",
    benchmark:
        "benchmarks/{study}/{scope}/s{sparsity}/choose_greedy_thresholds.tsv"
    wildcard_constraints:
        study=any_of(ALLOCATED),
    conda:
        "../../envs/model.yaml"
    threads: MODEL_CORES
    resources:
        **MODEL,
    params:
        spec=spec(
            "choose_greedy_thresholds.py",
            "calibrate.held_out_blocks",
            "calibrate.batch_tokens",
            maps=maps,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/choose_greedy_thresholds.py"


def thresholds(wildcards):
    """The thresholds of an allocation's scope."""
    scope = study(wildcards).allocations[wildcards.allocation].scope
    return fill(rules.choose_thresholds.output.thresholds, scope=scope)
