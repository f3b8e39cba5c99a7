"""Evaluate a run, a TEAL baseline or the dense model on held-out blocks."""

from spon.job import job

from spon import centre, evaluate, models, sparsify, temperature
from spon.inputs.tokens import pick_blocks, read_tokens
from spon.sites import name_rows

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    model = {
        "sparsifiers": sparsify.read_sparsifiers(
            network,
            snakemake.input.get("thresholds"),
            spec["sparsification"],
            float(snakemake.wildcards.get("sparsity", 0)),
            centre.read_centres(snakemake.input.get("centres")),
        ),
        "biases": sparsify.load_biases(snakemake.input.get("biases")),
        "batch_tokens": spec["batch_tokens"],
        "chunk_tokens": spec["chunk_tokens"],
        "keep": here.keep,
    }
    # ASSUME: blocks from the whole calibration text, whether biases were learned on them or not:
    # one number is fitted to thousands of predictions.
    calibration = read_tokens(snakemake.input.calibration)
    taken = pick_blocks(len(calibration), spec["temperature_blocks"], "even")
    fitted = temperature.fit_temperature(network, calibration[taken], **model)
    blocks = evaluate.evaluate(
        network, read_tokens(snakemake.input.tokens), temperature=fitted, **model
    )
    here.write_parquet(name_rows(blocks, spec["names"]), snakemake.output.nll)
