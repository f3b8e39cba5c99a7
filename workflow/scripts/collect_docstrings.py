"""Read the pydoc corpus out of the installed packages."""

import json
from pathlib import Path

from spon import corpus
from spon.job import job

# A spawned worker imports this file again, and has no job to do.
if __name__ == "__main__":
    with job(snakemake) as here:
        selection = corpus.Selection(**snakemake.params.spec["pydoc"])
        documents = corpus.collect_docstrings(selection, here.processes)
        for split in corpus.SPLITS:
            part = documents.loc[documents["split"] == split, ["file", "text"]]
            part.to_parquet(snakemake.output[split], index=False, compression="zstd", compression_level=9)
        description = corpus.describe_corpus(documents, selection.packages)
        here.say(corpus.compare_corpora(description, corpus.read_training_corpus(snakemake.input.get("record"))))
        Path(snakemake.output.corpus).write_text(json.dumps(description, indent=2) + "\n")
