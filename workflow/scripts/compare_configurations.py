"""Compare the biases of all pairs of runs at the sites that they share."""

from spon import biases
from spon.analyses import cross_configuration
from spon.job import job

with job(snakemake):
    runs = biases.gather_runs(snakemake.params.spec["runs"], snakemake.input.biases)
    table = cross_configuration.describe_cross_configuration(runs)
    table.to_csv(snakemake.output.cross_configuration, index=False)
