"""Evaluate random directions with the norms of a run's biases, on some of the held-out blocks."""

from spon.job import job

from spon import evaluate, models, sparsify, untrained
from spon.inputs.tokens import pick_blocks, read_tokens
from spon.sites import name_rows

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    imitated = spec["names"] | {"allocation": spec["names"]["norms_of"]}
    biases = sparsify.load_biases(snakemake.input.biases, network, imitated, snakemake.input.sites)
    tokens = read_tokens(snakemake.input.tokens, network.config.vocab_size)
    taken = pick_blocks(len(tokens), spec["draw_blocks"], "even")
    blocks = evaluate.evaluate_draws(
        network,
        tokens=tokens[taken],
        sparsifiers=sparsify.read_sparsifiers(
            network,
            snakemake.input.thresholds,
            spec["sparsification"],
            float(snakemake.wildcards.sparsity),
            names=spec["names"],
        ),
        draws=[untrained.random_directions(biases, seed) for seed in range(spec["draws"])],
        batch_tokens=spec["batch_tokens"],
        chunk_tokens=spec["chunk_tokens"],
        keep=here.keep,
        state=here.state,
    )
    blocks["block"] = taken[blocks["block"].to_numpy()]
    table = evaluate.check_blocks(name_rows(blocks, spec["names"]))
    here.write_parquet(table, snakemake.output.draws)
