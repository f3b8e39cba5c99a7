"""Compare studies that differ in their method alone."""

from spon.job import job
from pathlib import Path

from spon.report import methods as page
from spon.tables import methods, perplexity

with job(snakemake):
    compared = methods.read_methods(dict(snakemake.input.items()), snakemake.params.spec)
    table = methods.tabulate_methods(compared)
    perplexity.write_table(table, *snakemake.output.methods)
    Path(snakemake.output.page).write_text(page.write_methods(table))
