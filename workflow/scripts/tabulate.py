"""Tabulate all evaluations of a study."""

from spon.job import job

from spon.tables import gains, outcomes, pareto, perplexity, trainings

with job(snakemake) as here:
    evaluations = outcomes.read_outcomes(dict(snakemake.input.items()), snakemake.params.spec)
    trained = trainings.read_trainings(snakemake.input.trainings, evaluations.points)
    points = perplexity.tabulate_perplexity(evaluations, trained)
    perplexity.write_table(points, *snakemake.output.perplexity)
    perplexity.write_table(
        perplexity.tabulate_damage_recovery(evaluations), *snakemake.output.damage_recovery
    )
    perplexity.write_table(
        gains.tabulate_layer_position(evaluations), *snakemake.output.layer_position
    )
    perplexity.write_table(
        gains.tabulate_marginal_gain(evaluations), *snakemake.output.marginal_gain
    )
    perplexity.write_table(pareto.tabulate_pareto(evaluations), *snakemake.output.pareto)
    perplexity.write_table(perplexity.tabulate_contrasts(evaluations), *snakemake.output.contrasts)
    here.write_json(perplexity.summarise(evaluations), snakemake.output.summary)
