"""Cut a text into blocks of tokens, by the study's protocol."""

from spon.job import job

from spon.inputs.check import read_json
from spon.inputs.text import read_documents
from spon.inputs.tokens import (
    Protocol,
    check_tokens,
    describe_tokens,
    read_tokenizer,
    save_tokens,
    tokenize,
)

with job(snakemake) as here:
    spec = snakemake.params.spec
    protocol = Protocol(**spec["protocol"])
    model = read_json(snakemake.input.model)
    tokenizer = read_tokenizer(model)
    documents = read_documents(spec["text"], snakemake.input.text)
    tokens = tokenize(
        documents.texts, tokenizer, protocol, spec["text"]["blocks"], spec["text"]["order"]
    )
    check_tokens(tokens, model["shape"])
    save_tokens(tokens, snakemake.output.tokens, here.stamp)
    description = describe_tokens(tokens, spec["text"], spec["protocol"], documents.describe())
    here.write_json(description, snakemake.output.protocol)
