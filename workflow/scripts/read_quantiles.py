"""Read the quantiles of the magnitude of the inputs of every site of a scope."""

from spon.job import job

from spon import calibrate, models
from spon.allocate import name_scope
from spon.inputs import check
from spon.inputs.tokens import read_tokens, take_even

with job(snakemake) as here:
    spec = snakemake.params.spec
    shape = check.read_json(snakemake.input.model, "shape")
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    quantiles = calibrate.read_quantiles(
        network,
        take_even(read_tokens(snakemake.input.tokens, network.config.vocab_size), spec["blocks"]),
        sites=name_scope(shape, spec["maps"]),
        batch_tokens=spec["batch_tokens"],
        dense_share=spec["sparsification"]["dense_share"],
        method=spec["sparsification"]["method"],
    )
    here.write_parquet(quantiles, snakemake.output.quantiles)
