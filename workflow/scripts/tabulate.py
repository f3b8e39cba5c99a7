"""Tabulate all evaluations of a study."""

import json
from pathlib import Path

from spon import gains, outcomes, pareto, tables
from spon.job import job

with job(snakemake):
    found = outcomes.read_outcomes(dict(snakemake.input.items()), snakemake.params.spec["outcomes"])
    tables.write_table(tables.tabulate_perplexity(found), *snakemake.output.perplexity)
    tables.write_table(tables.tabulate_damage_recovery(found), *snakemake.output.damage_recovery)
    tables.write_table(gains.tabulate_layer_position(found), *snakemake.output.layer_position)
    tables.write_table(gains.tabulate_marginal_gain(found), *snakemake.output.marginal_gain)
    tables.write_table(pareto.tabulate_pareto(found), *snakemake.output.pareto)
    tables.write_table(tables.tabulate_contrasts(found), *snakemake.output.contrasts)
    Path(snakemake.output.summary).write_text(json.dumps(tables.summarise(found), indent=1) + "\n")
