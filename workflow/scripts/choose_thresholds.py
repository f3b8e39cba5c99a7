"""Choose the thresholds of a scope at a sparsity, and measure what they set to zero."""

from spon.job import job

from spon import calibrate, models
from spon.allocate import name_scope
from spon.inputs import check
from spon.inputs.tokens import read_tokens, take_even
from spon.sites import name_rows

with job(snakemake) as here:
    spec = snakemake.params.spec
    shape = check.read_json(snakemake.input.model, "shape")
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    sites = name_scope(shape, spec["maps"])
    tokens = read_tokens(snakemake.input.tokens, network.config.vocab_size)
    thresholds = calibrate.choose_thresholds(
        sites,
        calibrate.load_quantiles(snakemake.input.get("quantiles"), sites),
        sparsity=float(snakemake.wildcards.sparsity),
    )
    table = calibrate.measure_thresholds(
        network,
        take_even(tokens, spec["held_out_blocks"]),
        thresholds,
        method=spec["sparsification"]["method"],
        sparsity=float(snakemake.wildcards.sparsity),
        dense_share=spec["sparsification"]["dense_share"],
        batch_tokens=spec["batch_tokens"],
    )
    names = {name: snakemake.wildcards[name] for name in ("scope", "sparsity")}
    name_rows(table, names).to_csv(snakemake.output.thresholds, index=False)
