"""Learn the biases of one run."""

import pandas as pd

from spon import data, models, sparsify, train
from spon.job import job

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(snakemake.input.model, here.device, spec["measure"]["dtype"])
    biases, curve = train.learn_biases(
        network,
        tokens=data.read_tokens(snakemake.input.tokens),
        sparsifiers=sparsify.make_sparsifiers(
            network,
            sparsify.read_thresholds(snakemake.input.thresholds),
            method=spec["measure"]["method"],
            sparsity=float(snakemake.wildcards.sparsity),
            dense_share=spec["measure"]["dense_share"],
        ),
        sites=pd.read_csv(snakemake.input.sites)["site"].tolist(),
        recipe=train.Recipe(**spec["train"]),
        seed=int(snakemake.wildcards.seed),
    )
    sparsify.save_biases(biases, snakemake.output.biases, here.metadata)
    curve.to_csv(snakemake.output.curve, index=False)
