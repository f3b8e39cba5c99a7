"""List the sites that get a bias."""

import json
from pathlib import Path

from spon.job import job
from spon.sites import allocate_biases, name_rows

with job(snakemake):
    spec = snakemake.params.spec
    sites = allocate_biases(
        json.loads(Path(snakemake.input.model).read_text())["shape"],
        scope_maps=spec["maps"],
        biased_maps=spec["biases"],
        layers=spec["layers"],
    )
    names = {"allocation": snakemake.wildcards.allocation, "learn": spec["learn"]}
    name_rows(sites, names).to_csv(snakemake.output.sites, index=False)
