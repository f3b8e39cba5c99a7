"""Tabulate all evaluations of a study on a further text."""

from spon.job import job

from spon.tables import outcomes, perplexity, trainings

with job(snakemake):
    evaluations = outcomes.read_outcomes(dict(snakemake.input.items()), snakemake.params.spec)
    trained = trainings.read_trainings(snakemake.input.trainings, evaluations.points)
    perplexity.write_table(
        perplexity.tabulate_perplexity(evaluations, trained), *snakemake.output.perplexity
    )
    perplexity.write_table(
        perplexity.tabulate_damage_recovery(evaluations), *snakemake.output.damage_recovery
    )
