"""Evaluate a run, a TEAL baseline or the dense model on held-out blocks."""

from spon.job import job

from spon import centre, evaluate, models, sparsify, temperature
from spon.inputs.tokens import read_tokens
from spon.sites import name_rows

with job(snakemake) as here:
    spec = snakemake.params.spec
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    vocabulary = network.config.vocab_size
    names = {"study": snakemake.wildcards.study, **spec["names"]}
    biases = sparsify.load_biases(
        snakemake.input.get("biases"), network, names, snakemake.input.get("sites")
    )
    model = {
        "sparsifiers": sparsify.read_sparsifiers(
            network,
            snakemake.input.get("thresholds"),
            spec["sparsification"],
            float(snakemake.wildcards.get("sparsity", 0)),
            centre.read_centres(snakemake.input.get("centres"), network, biases),
            names,
        ),
        "biases": biases,
        "batch_tokens": spec["batch_tokens"],
        "chunk_tokens": spec["chunk_tokens"],
        "keep": here.keep,
    }
    fitted = temperature.choose_temperature(
        network,
        snakemake.input.get("fitted"),
        snakemake.input.get("calibration"),
        spec.get("temperature_blocks"),
        spec["names"],
        **model,
    )
    blocks = evaluate.evaluate(
        network, read_tokens(snakemake.input.tokens, vocabulary), temperature=fitted, **model
    )
    table = evaluate.check_blocks(name_rows(blocks, spec["names"]))
    evaluate.check_guessing(table, network.config.vocab_size, spec["worse_than_guessing"])
    here.write_parquet(table, snakemake.output.nll)
