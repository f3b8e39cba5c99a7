"""Measure tasks with a run, a TEAL baseline or the dense model."""

from spon.job import job

from spon import centre, models, sparsify
from spon.inputs.check import read_json
from spon.inputs.tokens import read_tokenizer
from spon.sites import name_rows
from spon.tasks import harness, local

with job(snakemake) as here:
    spec, inputs = snakemake.params.spec, snakemake.input
    network = models.load(
        inputs.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    names = {"study": snakemake.wildcards.study, **spec["names"]}
    biases = sparsify.load_biases(inputs.get("biases"), network, names, inputs.get("sites"))
    table = harness.measure_tasks(
        network,
        tokenizer=read_tokenizer(read_json(inputs.model)),
        local=[local.read_task(path, inputs.get("documents")) for path in spec["paths"]],
        hub=spec["hub"],
        sparsifiers=sparsify.read_sparsifiers(
            network,
            inputs.get("thresholds"),
            spec["sparsification"],
            float(snakemake.wildcards.get("sparsity", 0)),
            centre.read_centres(inputs.get("centres"), network, biases),
            names,
        ),
        biases=biases,
        temperature=harness.choose_temperature(inputs.get("fitted"), spec["names"]),
        settings=spec | spec["sparsification"],
    )
    here.write_parquet(name_rows(table, spec["names"]), snakemake.output.tasks)
