"""Rank the norms of all runs' biases, and compare them with depth."""

from spon.job import job

from spon.analyses import norm_ranking, runs

with job(snakemake):
    table = norm_ranking.describe_norm_ranking(
        runs.gather_runs(snakemake.input.biases, snakemake.params.spec["runs"]),
        layers=runs.count_layers(snakemake.input.get("model"), snakemake.params.spec["layers"]),
    )
    table.to_csv(snakemake.output.norm_ranking, index=False)
