"""List the sites that get a bias."""

import json
from pathlib import Path

from spon import allocate
from spon.job import job

with job(snakemake):
    allocation = snakemake.params.spec["allocation"]
    shape = json.loads(Path(snakemake.input.model).read_text())["shape"]
    sites = allocate.allocate_biases(
        shape, allocation["maps"], allocation["biases"], allocation["layers"]
    )
    sites.to_csv(snakemake.output.sites, index=False)
