"""Pin the model: its files, their digests and its shape."""

import json
from pathlib import Path

from spon import source
from spon.job import job

with job(snakemake):
    model = source.describe(snakemake.params.spec["model"])
    Path(snakemake.output.model).write_text(json.dumps(model, indent=2) + "\n")
