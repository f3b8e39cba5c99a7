"""Tabulate all evaluations of a study."""

import json
from pathlib import Path

import pandas as pd

from spon import gains, outcomes, pareto, tables
from spon.job import job

with job(snakemake):
    spec, paths = snakemake.params.spec, snakemake.input
    evaluations = zip(spec["evaluations"], paths.nll, strict=True)
    allocations = zip(spec["allocations"], paths.sites, strict=True)
    found = outcomes.gather_outcomes(
        blocks=pd.concat([pd.read_parquet(path).assign(**names) for names, path in evaluations]),
        sites=pd.concat([pd.read_csv(path).assign(allocation=name) for name, path in allocations]),
        shape=json.loads(Path(paths.model).read_text())["shape"],
        scopes=spec["scopes"],
        protocol=json.loads(Path(paths.protocol).read_text())["protocol"],
        **spec["statistics"],
    )
    tables.write_table(tables.tabulate_perplexity(found), *snakemake.output.perplexity)
    tables.write_table(tables.tabulate_damage_recovery(found), *snakemake.output.damage_recovery)
    tables.write_table(gains.tabulate_layer_position(found), *snakemake.output.layer_position)
    tables.write_table(gains.tabulate_marginal_gain(found), *snakemake.output.marginal_gain)
    tables.write_table(pareto.tabulate_pareto(found), *snakemake.output.pareto)
    tables.write_table(tables.tabulate_contrasts(found), *snakemake.output.contrasts)
    Path(snakemake.output.summary).write_text(json.dumps(tables.summarise(found), indent=1) + "\n")
