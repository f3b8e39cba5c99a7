"""Learn the biases of one run."""

from spon.job import job

from spon import course, layers, memory, models, sparsify, train
from spon.biases import write_biases
from spon.inputs.check import read_json
from spon.inputs.tokens import read_tokens
from spon.schedule import Recipe
from spon.sites import read_sites

with job(snakemake) as here:
    spec = snakemake.params.spec
    shape = read_json(snakemake.input.model, "shape")
    sites = read_sites(snakemake.input.sites, shape)["site"].tolist()
    tokens = read_tokens(snakemake.input.tokens, shape["vocabulary"])
    split_blocks = memory.choose_split(
        shape,
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
            names=spec["names"],
        ),
        sites=sites,
        recipe=Recipe(**spec["train"]),
        seed=int(snakemake.wildcards.seed),
        split_blocks=split_blocks,
        keep=here.keep,
        state=here.state,
    )
    here.say(course.warn(curve))
    write_biases(biases, snakemake.output.biases, here.stamp)
    course.write_curve(curve, snakemake.output.curve, spec["names"])
