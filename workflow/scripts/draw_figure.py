"""Draw one figure from its tables."""

import pandas as pd

from spon import figures, look
from spon.job import job

with job(snakemake) as here:
    draw = getattr(figures, snakemake.params.spec["figure"])
    figure = draw(**{name: pd.read_csv(path) for name, path in snakemake.input.items()})
    look.save(figure, snakemake.output.png, snakemake.output.pdf, here.metadata)
