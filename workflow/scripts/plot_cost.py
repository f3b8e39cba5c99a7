"""Plot what a study cost."""

from spon.job import job
import json
from pathlib import Path

from spon.cost import benchmarks
from spon.figures import style

with job(snakemake) as here:
    figure = benchmarks.plot_cost(json.loads(Path(snakemake.input.cost).read_text()))
    style.save(figure, snakemake.output.png, snakemake.output.pdf, here.metadata)
