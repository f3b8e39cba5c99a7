"""Describe what kind of numbers the biases of a run are made of."""

from spon import biases
from spon.analyses import bias_statistics
from spon.job import job

with job(snakemake):
    names = snakemake.wildcards
    run = biases.read_run(
        snakemake.input.biases, names.allocation, float(names.sparsity), int(names.seed)
    )
    table = bias_statistics.describe_bias_statistics(run)
    table.to_csv(snakemake.output.bias_statistics, index=False)
