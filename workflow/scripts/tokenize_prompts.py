"""Turn the prompts into token ids, by the study's protocol."""

from spon.job import job
from pathlib import Path

import yaml

from spon.inputs.check import read_json
from spon.inputs.tokens import (
    Protocol,
    check_tokens,
    read_tokenizer,
    save_prompts,
    tokenize_prompts,
)

with job(snakemake) as here:
    model = read_json(snakemake.input.model)
    tokenizer = read_tokenizer(model)
    prompts = yaml.safe_load(Path(snakemake.input.prompts).read_text())
    protocol, shape = Protocol(**snakemake.params.spec["protocol"]), model["shape"]
    tokens = tokenize_prompts(prompts, tokenizer, protocol, shape["positions"])
    for prompt in tokens.values():
        check_tokens(prompt, shape)
    save_prompts(tokens, snakemake.output.prompts, here.stamp)
