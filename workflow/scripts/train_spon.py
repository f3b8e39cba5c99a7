"""Learn the biases of one run."""

from spon.job import job
import csv
import json
from pathlib import Path

from spon import layers, memory, models, sparsify, train
from spon.biases import write_biases
from spon.inputs.tokens import read_tokens

with job(snakemake) as here:
    spec = snakemake.params.spec
    sites = [
        row["site"] for row in csv.DictReader(Path(snakemake.input.sites).read_text().splitlines())
    ]
    tokens = read_tokens(snakemake.input.tokens)
    split_blocks = memory.choose_split(
        json.loads(Path(snakemake.input.model).read_text())["shape"],
        dtype=spec["sparsification"]["dtype"],
        block_length=tokens.shape[1],
        lowest_layer=layers.lowest_layer(sites),
        train=spec["train"],
        memory_gib=spec["memory_gib"],
        device=here.device,
    )
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    biases, curve = train.learn_biases(
        network,
        tokens=tokens,
        sparsifiers=sparsify.read_sparsifiers(
            network,
            snakemake.input.thresholds,
            spec["sparsification"],
            float(snakemake.wildcards.sparsity),
        ),
        sites=sites,
        recipe=train.Recipe(**spec["train"]),
        seed=int(snakemake.wildcards.seed),
        split_blocks=split_blocks,
        keep=here.keep,
    )
    write_biases(biases, snakemake.output.biases, here.stamp)
    train.write_curve(curve, snakemake.output.curve, spec["names"])
