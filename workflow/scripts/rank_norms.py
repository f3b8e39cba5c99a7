"""Rank the norms of all runs' biases, beside their depth."""

from spon import biases
from spon.analyses import norm_ranking
from spon.job import job

with job(snakemake):
    spec = snakemake.params.spec
    layers = biases.count_layers(snakemake.input.get("model"), spec["layers"])
    runs = biases.gather_runs(spec["runs"], snakemake.input.biases)
    norm_ranking.describe_norm_ranking(runs, layers).to_csv(
        snakemake.output.norm_ranking, index=False
    )
