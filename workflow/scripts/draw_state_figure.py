"""Draw one figure from analyses, those of several runs put together."""

import numpy as np
import pandas as pd

from spon import look, state_figures
from spon.job import job

with job(snakemake) as here:
    draw = getattr(state_figures, snakemake.params.spec["figure"])
    tables = {name: pd.concat(map(pd.read_csv, np.atleast_1d(paths))) for name, paths in snakemake.input.items()}
    look.save(draw(**tables), snakemake.output.png, snakemake.output.pdf, here.metadata)
