"""Evaluate a run, a TEAL baseline or the dense model on held-out blocks."""

from spon import evaluate, models, sparsify
from spon.inputs.tokens import read_tokens
from spon.job import job
from spon.sites import name_rows

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    blocks = evaluate.evaluate(
        network,
        tokens=read_tokens(snakemake.input.tokens),
        sparsifiers=sparsify.read_sparsifiers(
            network,
            snakemake.input.get("thresholds"),
            spec["sparsification"],
            float(snakemake.wildcards.get("sparsity", 0)),
        ),
        biases=sparsify.load_biases(snakemake.input.get("biases")),
        **spec["evaluate"],
        keep=here.keep,
    )
    here.write_parquet(name_rows(blocks, spec["names"]), snakemake.output.nll)
