"""Write the study's headline table, a handful of rows, as markdown."""

from spon.job import job
from pathlib import Path

from spon.inputs.check import read_table
from spon.report import headline

with job(snakemake):
    text = headline.write_headline(
        perplexity=read_table(snakemake.input.perplexity),
        damage_recovery=read_table(snakemake.input.damage_recovery),
        allocations=snakemake.params.spec["allocations"],
    )
    Path(snakemake.output.headline).write_text(text)
