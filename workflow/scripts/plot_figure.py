"""Plot the figure that a rule is named after; tables of several runs are put together."""

from spon.job import job

import numpy as np
import pandas as pd

from spon.figures import biases, confidence, frontiers, outcomes, states, style, texts
from spon.inputs.check import read_table

with job(snakemake) as here:
    modules = (biases, confidence, frontiers, outcomes, states, texts)
    functions = {name: found for one in modules for name, found in vars(one).items()}
    plot = functions[here.metadata["rule"]]
    tables = {
        name: pd.concat([read_table(path, is_filled=False) for path in np.atleast_1d(paths)])
        for name, paths in snakemake.input.items()
    }
    style.save(plot(**tables), snakemake.output.png, snakemake.output.pdf, here.metadata)
