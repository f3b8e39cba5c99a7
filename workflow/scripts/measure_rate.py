"""Measure how fast this machine is at what a study computes."""

from spon.job import job

from spon.cost import rate
from spon.inputs.shape import require_known

with job(snakemake) as here:
    spec = snakemake.params.spec
    require_known(spec["shape"])
    here.say("measures this machine on two layers of the model, for minutes if it is large")
    speed = rate.measure_rate(spec["shape"], spec["settings"], here.device, here.processes)
    here.write_json(speed, snakemake.output.rate)
