"""Add up what a study cost."""

import json
from pathlib import Path

import pandas as pd

from spon.cost import benchmarks
from spon.job import job

with job(snakemake):
    found = benchmarks.count_cost(
        {path: pd.read_csv(path, sep="\t") for path in snakemake.params.spec["benchmarks"]}
    )
    Path(snakemake.output.cost).write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
