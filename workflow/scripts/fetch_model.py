"""Pin the model: its files, their digests and its shape; and compare it with transformers' own."""

from spon.job import job

from spon import agreement, models
from spon.inputs import source

with job(snakemake) as here:
    spec = snakemake.params.spec
    model = source.describe(spec["model"])
    network = models.load_described(model, here.device, spec["dtype"], here.memory_gib)
    shape = agreement.check_network(network, model["shape"])
    here.write_json({**model, "shape": shape}, snakemake.output.model)
