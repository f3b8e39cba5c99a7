"""Write down what the study ran on."""

import json
from pathlib import Path

from spon import environment
from spon.job import job

with job(snakemake) as here:
    found = environment.describe_environment(here.device, snakemake.resources.torch_threads)
    Path(snakemake.output.environment).write_text(json.dumps(found, indent=2) + "\n")
