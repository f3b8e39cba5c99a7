"""Write down what the study ran on."""

from spon import environment
from spon.job import job

with job(snakemake) as here:
    found = environment.describe_environment(here.device, snakemake.resources.torch_threads)
    here.write_json(found, snakemake.output.environment)
