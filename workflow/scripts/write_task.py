"""Write the documents of the task of our own."""

from spon.job import job

from spon.inputs.check import read_table
from spon.tasks import summaries

with job(snakemake):
    docstrings = read_table(snakemake.input.docstrings, ["text"])["text"].tolist()
    documents = summaries.choose_documents(docstrings, snakemake.params.spec["seed"])
    summaries.write_documents(documents, snakemake.output.documents)
