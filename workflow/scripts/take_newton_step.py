"""Take the biases of a run that one Newton step in the Fisher metric gives."""

from spon.job import job

import torch

from spon import layers, memory, models, newton, sparsify
from spon.biases import write_biases
from spon.inputs.check import read_json
from spon.inputs.tokens import read_tokens, take_blocks
from spon.sites import read_sites

with job(snakemake) as here:
    spec, seed = snakemake.params.spec, int(snakemake.wildcards.seed)
    dtype, shape = spec["sparsification"]["dtype"], read_json(snakemake.input.model, "shape")
    sites = read_sites(snakemake.input.sites, shape)["site"].tolist()
    tokens = read_tokens(snakemake.input.tokens, shape["vocabulary"])
    # Blocks count as twice as long, as every activation has a tangent.
    split_blocks = memory.choose_split(
        shape,
        dtype=dtype,
        block_length=2 * tokens.shape[1],
        lowest_layer=layers.lowest_layer(sites),
        train={
            "batch_blocks": max(1, spec["batch_tokens"] // tokens.shape[1]),
            "chunk_tokens": spec["chunk_tokens"],
            "checkpointing": False,
        },
        memory_gib=spec["memory_gib"],
        device=here.device,
    )
    network = models.load(snakemake.input.model, here.device, dtype, here.memory_gib)
    generator = torch.Generator().manual_seed(seed)
    biases = newton.newton_step(
        network,
        tokens=take_blocks(tokens, spec["blocks"], spec["order"], generator),
        sparsifiers=sparsify.read_sparsifiers(
            network,
            snakemake.input.thresholds,
            spec["sparsification"],
            float(snakemake.wildcards.sparsity),
            names=spec["names"],
        ),
        sites=sites,
        batch_tokens=split_blocks * tokens.shape[1],
        chunk_tokens=spec["chunk_tokens"],
        seed=seed,
    )
    write_biases(biases, snakemake.output.biases, here.stamp)
