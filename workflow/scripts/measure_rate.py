"""Measure how fast this machine is at what a study computes."""

from spon.job import job

from spon.cost import rate
from spon.inputs.shape import require_known

with job(snakemake) as here:
    spec = snakemake.params.spec
    require_known(spec["shape"])
    speed = rate.measure_rate(spec["shape"], spec["settings"], here.device, here.processes)
    here.write_json(speed, snakemake.output.rate)
