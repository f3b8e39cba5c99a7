"""Import the biases of one checkpoint as a run."""

from spon.job import job

from spon import biases
from spon.analyses import checkpoints

with job(snakemake) as here:
    checkpoint, names = snakemake.input.checkpoint, snakemake.wildcards
    checkpoints.check_run(checkpoint, names.allocation, float(names.sparsity), int(names.seed))
    biases.write_biases(
        checkpoints.read_checkpoint(checkpoint, snakemake.params.spec["layers"]),
        snakemake.output.biases,
        here.stamp,
    )
