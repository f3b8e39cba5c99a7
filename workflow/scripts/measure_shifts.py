"""Measure how far TEAL and SPON move hidden states from the dense model's."""

from spon import data, models, sparsify
from spon.analyses import hidden_state_shift
from spon.job import job

with job(snakemake) as here:
    spec, names = snakemake.params.spec, dict(snakemake.wildcards.items())
    network = models.load(snakemake.input.model, here.device, models.STATES, here.memory_gib)
    table = hidden_state_shift.measure_shifts(
        network,
        held_out=data.take_even(data.read_tokens(snakemake.input.tokens), spec["blocks"]),
        prompts=data.read_prompts(snakemake.input.prompts),
        sparsifiers=sparsify.make_sparsifiers(
            network,
            sparsify.read_thresholds(snakemake.input.thresholds),
            method=spec["measure"]["method"],
            sparsity=float(names["sparsity"]),
            dense_share=spec["measure"]["dense_share"],
        ),
        learned=sparsify.read_biases(snakemake.input.biases),
        batch_tokens=spec["batch_tokens"],
        draws=spec["draws"],
        seed=spec["seed"],
    )
    run = {name: names[name] for name in ("allocation", "sparsity", "seed")}
    table.assign(**run)[[*run, *table.columns]].to_csv(
        snakemake.output.hidden_state_shift, index=False
    )
