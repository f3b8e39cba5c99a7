"""Cut a text into blocks of tokens, by the study's protocol."""

import json
from pathlib import Path

from transformers import AutoTokenizer

from spon.inputs import source
from spon.inputs.text import read_documents
from spon.inputs.tokens import Protocol, describe_tokens, save_tokens, tokenize
from spon.job import job

with job(snakemake) as here:
    spec = snakemake.params.spec
    protocol = Protocol(**spec["protocol"])
    model = json.loads(Path(snakemake.input.model).read_text())
    tokenizer = AutoTokenizer.from_pretrained(
        source.locate(model["source"]), local_files_only=True
    )
    documents = read_documents(spec["text"], snakemake.input.text)
    tokens = tokenize(
        documents.texts, tokenizer, protocol, spec["text"]["blocks"], spec["text"]["order"]
    )
    save_tokens(tokens, snakemake.output.tokens, here.stamp)
    description = describe_tokens(tokens, spec["text"], spec["protocol"], documents.describe())
    here.write_json(description, snakemake.output.protocol)
