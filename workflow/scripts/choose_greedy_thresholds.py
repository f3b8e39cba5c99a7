"""Choose the thresholds of a scope, whose maps share out its sparsity, and measure them."""

from spon.job import job

from spon import calibrate, models
from spon.allocate import name_scope
from spon.inputs import check
from spon.inputs.tokens import read_tokens, take_even
from spon.methods import greedy
from spon.sites import name_rows

with job(snakemake) as here:
    spec, sparsity = snakemake.params.spec, float(snakemake.wildcards.sparsity)
    shape = check.read_json(snakemake.input.model, "shape")
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    vocabulary = network.config.vocab_size
    quantiles = calibrate.load_quantiles(
        snakemake.input.quantiles, name_scope(shape, spec["maps"])
    )
    sizes = {
        "batch_tokens": spec["batch_tokens"],
        "dense_share": spec["sparsification"]["dense_share"],
    }
    calibration = read_tokens(snakemake.input.calibration, vocabulary)
    table = calibrate.measure_thresholds(
        network,
        take_even(read_tokens(snakemake.input.tokens, vocabulary), spec["held_out_blocks"]),
        greedy.allocate_thresholds(network, calibration, quantiles, sparsity, **sizes),
        method=spec["sparsification"]["method"],
        sparsity=sparsity,
        **sizes,
    )
    names = {name: snakemake.wildcards[name] for name in ("scope", "sparsity")}
    name_rows(table, names).to_csv(snakemake.output.thresholds, index=False)
