"""How fast the model decodes one stream, dense and sparse. Never part of the default target.

It is measured on a CPU, whatever the study ran on, and while nothing else runs.
"""

from spon.allocate import FISHER, MEAN_RESIDUAL, TRAINED
from spon.inputs import source

# Their thresholds are those of their scope, and they have one file of biases.
DECODED = (TRAINED, MEAN_RESIDUAL, FISHER)


def decoded_runs(wildcards):
    """The runs that decode, by their names in the tables."""
    chosen = study(wildcards)
    for number, run in enumerate(config["decode"]["runs"]):
        known = chosen.allocations.get(run["allocation"])
        if known is None or known.learn not in DECODED:
            raise WorkflowError(
                f"config: decode.runs.{number}.allocation is '{run['allocation']}': allowed are "
                f"allocations of the catalogue that learn by {', '.join(DECODED)}"
            )
    return [chosen.name_evaluation(**run) for run in config["decode"]["runs"]]


def decoded_thresholds(wildcards):
    """The thresholds of the runs' scopes at their sparsities and all that are asked for."""
    runs = decoded_runs(wildcards)
    places = [(run["scope"], run["sparsity"]) for run in runs]
    places += [
        (run["scope"], sparsity)
        for run in runs
        for sparsity in config["decode"]["sparsities"]
    ]
    return [
        fill(rules.choose_thresholds.output.thresholds, scope=scope, sparsity=sparsity)
        for scope, sparsity in sorted(set(places))
    ]


def decoded_maps(wildcards):
    """The linear maps of the runs' scopes."""
    scopes = [run["scope"] for run in decoded_runs(wildcards)]
    return list(
        dict.fromkeys(name for scope in scopes for name in config["scopes"][scope])
    )


def decoded_biases(wildcards):
    """The biases of the runs."""
    return files_of_runs(rules.train_spon.output.biases, config["decode"]["runs"])


def decodable(wildcards):
    """What is measured of every study that has a model."""
    if not WITH_MODEL:
        raise WorkflowError(
            "decode: the sweep's studies have checkpoints alone and run no model, so there is nothing to decode with"
        )
    # Imported here, since it takes seconds.
    from spon.decode.measure import check_memory

    limit = memory.cpu_memory(config["memory_gib"])
    key = f"config: memory_gib is {memory.name_limit(config['memory_gib'])}: decoding runs on the CPU, whose part"
    for name in WITH_MODEL:
        shape = source.foresee(read_study(name).settings["model"], settings.SHAPES)
        try:
            if shape:
                check_memory(shape, limit, key)
        except ValueError as mistake:
            raise WorkflowError(str(mistake)) from mistake
    return expand(rules.measure_decoding.output, study=WITH_MODEL)


rule measure_decoding:
    """Measure how fast the model decodes one stream: dense, sparse, and sparse with biases."""
    input:
        model=rules.fetch_model.output.model,
        tokens=EVALUATION,
        thresholds=decoded_thresholds,
        biases=decoded_biases,
    output:
        decode="results/{study}/tables/decode.csv",
        matrices="results/{study}/tables/decode_matrices.csv",
    log:
        "logs/{study}/measure_decoding.log",
    conda:
        "../../envs/model.yaml"
    threads: workflow.cores
    resources:
        torch_threads=config["decode"]["threads"] or CPUS,
        mem_mb=lambda _, attempt: batch.ask_memory(
            memory.cpu_memory(config["memory_gib"]), attempt
        ),
        runtime=MODEL["runtime"],
        cpus_per_task=config["decode"]["threads"] or config["threads"],
    params:
        spec=spec(
            "measure_decoding.py",
            "decode.sparsities",
            "decode.shapes",
            "decode.tokens",
            "decode.repeats",
            maps=decoded_maps,
            runs=decoded_runs,
            sparsification=sparsified(),
        ),
    script:
        "../scripts/measure_decoding.py"


rule decode:
    """Measure how fast the studies of the sweep decode (not part of the default)."""
    input:
        decodable,
