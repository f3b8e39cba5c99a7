"""Tabulate trained runs beside their controls."""

from spon.job import job

from spon.tables import controls, outcomes, perplexity

with job(snakemake):
    paths, spec = snakemake.input, snakemake.params.spec
    table = controls.tabulate_controls(
        outcomes.read_outcomes(dict(paths.items()), spec),
        on_dense=controls.read_on_dense(paths.on_dense, spec["adaptations"]),
        draws=controls.read_random(paths.draws, spec["random"]),
    )
    perplexity.write_table(table, *snakemake.output.controls)
