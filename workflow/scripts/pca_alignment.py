"""Compare the biases of a run with the principal components of their sites' outputs."""

from spon.job import job

from spon import models, sparsify
from spon.analyses import pca_alignment
from spon.inputs.tokens import read_prompts, read_tokens, take_even
from spon.sites import RUN, name_rows

with job(snakemake) as here:
    spec, names = snakemake.params.spec, dict(snakemake.wildcards.items())
    network = models.load(snakemake.input.model, here.device, models.STATES, here.memory_gib)
    vocabulary = network.config.vocab_size
    table = pca_alignment.align_with_components(
        network,
        held_out=take_even(read_tokens(snakemake.input.tokens, vocabulary), spec["blocks"]),
        prompts=read_prompts(snakemake.input.prompts, vocabulary),
        learned=sparsify.load_biases(
            snakemake.input.biases, network, names, snakemake.input.sites
        ),
        components=spec["components"],
        batch_tokens=spec["batch_tokens"],
        draws=spec["draws"],
        seed=spec["seed"],
    )
    run = {name: names[name] for name in RUN}
    name_rows(table, run).to_csv(snakemake.output.pca_alignment, index=False)
