"""Take the mean of what sparsification takes away as the biases of a run."""

from spon.job import job

import torch

from spon import models, sparsify, untrained
from spon.biases import write_biases
from spon.inputs.check import read_json
from spon.inputs.tokens import read_tokens, take_blocks
from spon.sites import read_sites

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    shape = read_json(snakemake.input.model, "shape")
    seed = torch.Generator().manual_seed(int(snakemake.wildcards.seed))
    biases = untrained.average_residual(
        network,
        tokens=take_blocks(
            read_tokens(snakemake.input.tokens, shape["vocabulary"]),
            spec["blocks"],
            spec["order"],
            seed,
        ),
        sparsifiers=sparsify.read_sparsifiers(
            network,
            snakemake.input.thresholds,
            spec["sparsification"],
            float(snakemake.wildcards.sparsity),
            names=spec["names"],
        ),
        sites=read_sites(snakemake.input.sites, shape)["site"].tolist(),
        batch_tokens=spec["batch_tokens"],
    )
    write_biases(biases, snakemake.output.biases, here.stamp)
