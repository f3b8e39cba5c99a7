"""Tabulate the trainings of a study."""

from spon.job import job

from spon.tables import perplexity, trainings

with job(snakemake):
    table = trainings.tabulate_trainings(
        snakemake.input.curves, schedule=snakemake.params.spec["schedule"]
    )
    perplexity.write_table(table, *snakemake.output.trainings)
