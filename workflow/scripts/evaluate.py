"""Evaluate a run, a TEAL baseline or the dense model on held-out blocks."""

from spon import data, evaluate, models, sparsify
from spon.job import job

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["measure"]["dtype"], here.memory_gib
    )
    blocks = evaluate.evaluate(
        network,
        tokens=data.read_tokens(snakemake.input.tokens),
        sparsifiers=sparsify.make_sparsifiers(
            network,
            sparsify.read_thresholds(snakemake.input.get("thresholds")),
            method=spec["measure"]["method"],
            sparsity=float(snakemake.wildcards.get("sparsity", 0)),
            dense_share=spec["measure"]["dense_share"],
        ),
        biases=sparsify.read_biases(snakemake.input.get("biases")),
        **spec["evaluate"],
        keep=here.keep,
    )
    here.write_parquet(blocks, snakemake.output.nll)
