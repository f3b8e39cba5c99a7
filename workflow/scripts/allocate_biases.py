"""List the sites that get a bias."""

from spon.job import job

from spon.allocate import allocate_biases
from spon.inputs.check import read_json
from spon.sites import name_rows

with job(snakemake):
    allocation = snakemake.params.spec["allocation"]
    sites = allocate_biases(
        read_json(snakemake.input.model, "shape"),
        scope_maps=allocation["maps"],
        biased_maps=allocation["biases"],
        layers=allocation["layers"],
    )
    names = {"allocation": allocation["name"], "learn": allocation["learn"]}
    name_rows(sites, names).to_csv(snakemake.output.sites, index=False)
