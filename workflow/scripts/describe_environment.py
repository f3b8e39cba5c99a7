"""Write down what the study ran on."""

from spon.job import job
from spon.report import environment

with job(snakemake) as here:
    found = environment.describe_environment(here.device, snakemake.resources.torch_threads)
    here.write_json(found, snakemake.output.environment)
