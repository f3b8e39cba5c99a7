"""Read the reference of the Python language that this interpreter ships."""

from spon.job import job

from spon.inputs.topics import collect_topics

with job(snakemake) as here:
    spec = snakemake.params.spec
    table = collect_topics(spec["shingle_words"], spec["duplicate_share"])
    here.write_parquet(table, snakemake.output.topics, compression="zstd", compression_level=9)
