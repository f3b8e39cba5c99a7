"""Tabulate the recovery of every run on all texts, side by side."""

from spon.job import job

from spon.tables import perplexity, texts

with job(snakemake):
    paths = [snakemake.input.damage_recovery, *snakemake.input.further]
    compared = texts.compare_texts(paths, snakemake.params.spec["names"])
    perplexity.write_table(compared, *snakemake.output.texts)
