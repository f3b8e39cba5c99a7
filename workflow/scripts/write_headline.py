"""Write the study's headline table, a handful of rows, as markdown."""

from spon.job import job
from pathlib import Path

import pandas as pd

from spon.report import headline

with job(snakemake):
    text = headline.write_headline(
        perplexity=pd.read_csv(snakemake.input.perplexity),
        damage_recovery=pd.read_csv(snakemake.input.damage_recovery),
        allocations=snakemake.params.spec["allocations"],
    )
    Path(snakemake.output.headline).write_text(text)
