"""Plot tasks."""

from spon.job import job

from spon.figures import style
from spon.figures.tasks import plot_tasks
from spon.inputs.check import read_table

with job(snakemake) as here:
    figure = plot_tasks(read_table(snakemake.input.tasks))
    style.save(figure, snakemake.output.png, snakemake.output.pdf, here.metadata)
