"""Add up what a study cost."""

from spon.job import job

import pandas as pd

from spon.cost import benchmarks

with job(snakemake) as here:
    tables = {path: pd.read_csv(path, sep="\t") for path in snakemake.params.spec["benchmarks"]}
    here.write_json(
        benchmarks.count_cost(tables, snakemake.params.spec["rule_files"]), snakemake.output.cost
    )
