"""Tabulate the trainings of a study."""

from spon.job import job

from spon.tables import perplexity, trainings

with job(snakemake):
    spec = snakemake.params.spec
    table = trainings.tabulate_trainings(
        snakemake.input.curves, spec["schedule"], spec["runs"], spec["allow_worse"]
    )
    perplexity.write_table(table, *snakemake.output.trainings)
