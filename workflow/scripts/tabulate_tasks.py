"""Tabulate tasks, and what sparsity and biases change in them, document by document."""

from spon.job import job

from spon.tables import perplexity, tasks

with job(snakemake):
    models = tasks.read_tasks(snakemake.input.tasks, snakemake.params.spec["models"])
    perplexity.write_table(tasks.tabulate_tasks(models), *snakemake.output.tasks)
