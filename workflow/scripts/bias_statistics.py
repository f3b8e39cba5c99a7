"""Describe the distribution of the entries of a run's biases."""

from spon.job import job

from spon.analyses import bias_statistics, runs

with job(snakemake):
    table = bias_statistics.describe_bias_statistics(runs.read_run(snakemake.input.biases))
    table.to_csv(snakemake.output.bias_statistics, index=False)
