"""Tabulate trained runs beside their controls."""

from spon.job import job

from spon.tables import controls, outcomes, perplexity

with job(snakemake):
    paths = snakemake.input
    table = controls.tabulate_controls(
        outcomes.read_outcomes(dict(paths.items()), snakemake.params.spec),
        on_dense=controls.read_blocks(paths.on_dense),
        draws=controls.read_blocks(paths.draws),
    )
    perplexity.write_table(table, *snakemake.output.controls)
