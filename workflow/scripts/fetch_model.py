"""Pin the model: its files, their digests and its shape."""

from spon.inputs import source
from spon.job import job

with job(snakemake) as here:
    here.write_json(source.describe(snakemake.params.spec["model"]), snakemake.output.model)
