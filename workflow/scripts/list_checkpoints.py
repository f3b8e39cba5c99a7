"""List the checkpoints of a study, with their digests."""

import json
from pathlib import Path

from spon import checkpoints
from spon.job import job

with job(snakemake):
    listed = [checkpoints.describe_file(path) for path in snakemake.input.checkpoints]
    Path(snakemake.output.checkpoints).write_text(json.dumps(listed, indent=2) + "\n")
