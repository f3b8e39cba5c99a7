"""Turn the prompts into token ids, by the study's protocol."""

import json
from pathlib import Path

import yaml
from transformers import AutoTokenizer

from spon.inputs import source
from spon.inputs.tokens import Protocol, save_prompts, tokenize_prompts
from spon.job import job

with job(snakemake) as here:
    model = json.loads(Path(snakemake.input.model).read_text())
    tokenizer = AutoTokenizer.from_pretrained(
        source.locate(model["source"]), local_files_only=True
    )
    prompts = yaml.safe_load(Path(snakemake.input.prompts).read_text())
    tokens = tokenize_prompts(prompts, tokenizer, Protocol(**snakemake.params.spec["protocol"]))
    save_prompts(tokens, snakemake.output.prompts, here.stamp)
