"""List the checkpoints of a study, with their digests."""

from spon.job import job

from spon.analyses import checkpoints

with job(snakemake) as here:
    runs = [checkpoints.describe_file(path) for path in snakemake.input.checkpoints]
    here.write_json(runs, snakemake.output.checkpoints)
