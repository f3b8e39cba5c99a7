"""Tabulate trained runs beside their controls."""

import pandas as pd

from spon.job import job
from spon.tables import controls, outcomes, perplexity

with job(snakemake):
    spec, paths = snakemake.params.spec, snakemake.input
    adaptations = zip(spec["adaptations"], paths.on_dense, strict=True)
    random = zip(spec["random"], paths.draws, strict=True)
    table = controls.tabulate_controls(
        outcomes.read_outcomes(dict(paths.items()), spec["outcomes"]),
        on_dense=pd.concat(
            [
                controls.NO_BLOCKS,
                *(pd.read_parquet(path).assign(**run) for run, path in adaptations),
            ]
        ),
        draws=pd.concat(
            [controls.NO_BLOCKS, *(pd.read_parquet(path).assign(**run) for run, path in random)]
        ),
        norms_of=spec["norms_of"],
        resamples=spec["outcomes"]["statistics"]["draws"],
        seed=spec["outcomes"]["statistics"]["seed"],
    )
    perplexity.write_table(table, *snakemake.output.controls)
