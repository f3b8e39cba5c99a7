"""Evaluate biases that point anywhere, each as long as that of a run, on some of the held-out blocks."""

from spon import data, evaluate, models, sparsify, untrained
from spon.job import job

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["measure"]["dtype"], here.memory_gib
    )
    biases = sparsify.read_biases(snakemake.input.biases)
    tokens = data.read_tokens(snakemake.input.tokens)
    chosen = data.choose_blocks(len(tokens), spec["draw_blocks"], "even")
    blocks = evaluate.evaluate_draws(
        network,
        tokens=tokens[chosen],
        sparsifiers=sparsify.make_sparsifiers(
            network,
            sparsify.read_thresholds(snakemake.input.thresholds),
            method=spec["measure"]["method"],
            sparsity=float(snakemake.wildcards.sparsity),
            dense_share=spec["measure"]["dense_share"],
        ),
        draws=[untrained.draw_directions(biases, seed) for seed in range(spec["draws"])],
        **spec["evaluate"],
        keep=here.keep,
    )
    here.write_parquet(
        blocks.assign(block=chosen[blocks["block"].to_numpy()]), snakemake.output.draws
    )
