"""Measure how fast the model decodes one stream, dense and sparse, and product by product."""

from spon.job import job

from spon import memory, models
from spon.decode import matrices, measure
from spon.inputs.check import read_json
from spon.inputs.tokens import read_tokens

with job(snakemake) as here:
    spec = snakemake.params.spec
    limit = memory.cpu_memory(here.memory_gib)
    measure.check_memory(read_json(snakemake.input.model, "shape"), limit)
    network = models.load(snakemake.input.model, "cpu", "float32", limit)
    variants = measure.list_variants(
        network,
        snakemake.input.thresholds,
        snakemake.input.biases,
        spec["runs"],
        spec["sparsification"],
    )
    prompt = read_tokens(snakemake.input.tokens, network.config.vocab_size)[0]
    table = measure.measure_decoding(network, variants, prompt, spec["tokens"], spec["repeats"])
    single = matrices.measure_matrices(
        matrices.list_matrices(network, spec["maps"], spec["shapes"]),
        [0.0, *spec["sparsities"]],
        spec["repeats"],
    )
    table.to_csv(snakemake.output.decode, index=False, float_format="%.6g")
    single.to_csv(snakemake.output.matrices, index=False, float_format="%.6g")
