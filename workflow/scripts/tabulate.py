"""Tabulate all evaluations of a study."""

from spon.job import job
from spon.tables import gains, outcomes, pareto, perplexity

with job(snakemake) as here:
    found = outcomes.read_outcomes(dict(snakemake.input.items()), snakemake.params.spec)
    perplexity.write_table(perplexity.tabulate_perplexity(found), *snakemake.output.perplexity)
    perplexity.write_table(
        perplexity.tabulate_damage_recovery(found), *snakemake.output.damage_recovery
    )
    perplexity.write_table(gains.tabulate_layer_position(found), *snakemake.output.layer_position)
    perplexity.write_table(gains.tabulate_marginal_gain(found), *snakemake.output.marginal_gain)
    perplexity.write_table(pareto.tabulate_pareto(found), *snakemake.output.pareto)
    perplexity.write_table(perplexity.tabulate_contrasts(found), *snakemake.output.contrasts)
    here.write_json(perplexity.summarise(found), snakemake.output.summary)
