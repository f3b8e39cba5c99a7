"""Find the modes of a run's inputs, their images as biases, and the thresholds around them."""

from spon.job import job

from spon import calibrate, centre, models, sparsify
from spon.biases import write_biases
from spon.inputs.check import read_json
from spon.inputs.tokens import read_tokens, take_even
from spon.sites import name_rows, read_sites

with job(snakemake) as here:
    spec, sparsity = snakemake.params.spec, float(snakemake.wildcards.sparsity)
    network = models.load(
        snakemake.input.model, here.device, spec["sparsification"]["dtype"], here.memory_gib
    )
    vocabulary = network.config.vocab_size
    # ASSUME: 256 blocks, 32,768 inputs of every channel here, show where its mode is.
    tokens = take_even(read_tokens(snakemake.input.tokens, vocabulary), min(spec["blocks"], 256))
    sizes = {
        "batch_tokens": spec["batch_tokens"],
        "dense_share": spec["sparsification"]["dense_share"],
    }
    shape = read_json(snakemake.input.model, "shape")
    sites = read_sites(snakemake.input.sites, shape)["site"].tolist()
    dense = sparsify.read_thresholds(snakemake.input.thresholds, spec["names"])
    method = spec["sparsification"]["method"]
    sparsify.check_thresholds(dense, snakemake.input.thresholds, network, method)
    centres = centre.find_modes(network, tokens, sites, **sizes)
    biases = centre.map_centres(
        lambda site: models.read_parameter(network.get_submodule(site)), centres
    )
    thresholds = calibrate.measure_thresholds(
        network,
        take_even(read_tokens(snakemake.input.evaluation, vocabulary), spec["held_out_blocks"]),
        dense | centre.choose_thresholds(network, tokens, centres, sparsity, **sizes),
        method=method,
        sparsity=sparsity,
        centres=centres,
        biases=biases,
        **sizes,
    )
    name_rows(thresholds, spec["names"]).to_csv(snakemake.output.thresholds, index=False)
    centre.write_centres(centres, snakemake.output.centres, here.stamp)
    write_biases(biases, snakemake.output.biases, here.stamp)
