"""Measure how fast this machine is at what a study computes."""

from spon.job import job

from spon.cost import rate
from spon.inputs import source

with job(snakemake) as here:
    spec = snakemake.params.spec
    source.require_known(spec["shape"])
    speed = rate.measure_rate(spec["shape"], spec["settings"], here.device, here.processes)
    here.write_json(speed, snakemake.output.rate)
