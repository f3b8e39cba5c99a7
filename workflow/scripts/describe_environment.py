"""Describe the environment in which the study ran."""

from spon.job import job

from spon.report import environment

with job(snakemake) as here:
    description = environment.describe_environment(here.device, snakemake.resources.torch_threads)
    here.write_json(description, snakemake.output.environment)
