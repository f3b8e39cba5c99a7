"""Read the pydoc corpus out of the installed packages."""

from spon.job import job

from spon.inputs import corpus

# A spawned worker imports this file again, and has no job to do.
if __name__ == "__main__":
    with job(snakemake) as here:
        selection = corpus.Selection(**snakemake.params.spec["pydoc"])
        documents = corpus.collect_docstrings(selection, here.processes)
        for split in corpus.SPLITS:
            part = documents.loc[documents["split"] == split, ["file", "text"]]
            here.write_parquet(
                part, snakemake.output[split], compression="zstd", compression_level=9
            )
        description = corpus.describe_corpus(documents, selection.packages)
        here.say(
            corpus.compare_corpora(
                description, corpus.read_training_corpus(snakemake.input.get("record"))
            )
        )
        here.write_json(description, snakemake.output.corpus)
