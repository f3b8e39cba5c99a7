"""List the checkpoints of a study, with their digests."""

from spon.job import job

from spon.analyses import checkpoints

with job(snakemake) as here:
    layers = snakemake.params.spec["layers"]
    runs = [checkpoints.describe_file(path, layers) for path in snakemake.input.checkpoints]
    here.write_json(runs, snakemake.output.checkpoints)
