"""Take the mean of what sparsification takes away as the biases of a run."""

from spon.job import job

import pandas as pd
import torch

from spon import models, sparsify, untrained
from spon.biases import write_biases
from spon.inputs.tokens import read_tokens, take_blocks

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    seed = torch.Generator().manual_seed(int(snakemake.wildcards.seed))
    biases = untrained.average_residual(
        network,
        tokens=take_blocks(
            read_tokens(snakemake.input.tokens), spec["blocks"], spec["order"], seed
        ),
        sparsifiers=sparsify.read_sparsifiers(
            network,
            snakemake.input.thresholds,
            spec["sparsification"],
            float(snakemake.wildcards.sparsity),
        ),
        sites=pd.read_csv(snakemake.input.sites)["site"].tolist(),
        batch_tokens=spec["batch_tokens"],
    )
    write_biases(biases, snakemake.output.biases, here.stamp)
