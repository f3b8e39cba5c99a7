"""Compare the biases of all pairs of runs at the sites that they share."""

from spon.job import job

from spon.analyses import cross_configuration, runs

with job(snakemake):
    table = cross_configuration.describe_cross_configuration(
        runs.gather_runs(snakemake.input.biases, snakemake.params.spec["runs"])
    )
    table.to_csv(snakemake.output.cross_configuration, index=False)
