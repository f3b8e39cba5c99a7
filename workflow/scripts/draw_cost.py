"""Draw what a study cost."""

import json
from pathlib import Path

from spon import cost, look
from spon.job import job

with job(snakemake) as here:
    figure = cost.draw_cost(json.loads(Path(snakemake.input.cost).read_text()))
    look.save(figure, snakemake.output.png, snakemake.output.pdf, here.metadata)
