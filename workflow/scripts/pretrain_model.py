"""Train the reference model from scratch."""

from spon.job import job
import json
from pathlib import Path

import pandas as pd
import torch
from transformers import LlamaConfig

from spon.inputs import pretrain
from spon.inputs.tokens import Protocol, join_documents, tokenize

with job(snakemake) as here:
    settings = snakemake.params.spec["pretrain"]
    schedule = pretrain.Schedule(**settings["schedule"])
    folder = Path(snakemake.output.record).parent
    train = pd.read_parquet(snakemake.input.train)["text"]
    tokenizer = pretrain.train_tokenizer(train, settings["model"]["vocab_size"])
    protocol = Protocol(
        block_length=128, bos=False, join=pretrain.END, strip=True, dense_share=0.0
    )
    held_out = tokenize(
        pd.read_parquet(snakemake.input.calibration)["text"].tolist(),
        tokenizer,
        protocol,
        settings["held_out_blocks"],
        "even",
    )
    stream = torch.tensor(tokenizer(join_documents(train, protocol), verbose=False)["input_ids"])
    config = LlamaConfig(
        **settings["model"], bos_token_id=None, eos_token_id=tokenizer.eos_token_id
    )
    model, curve = pretrain.pretrain(
        config, stream, held_out, schedule, settings["seed"], here.state, here.device
    )
    record = pretrain.describe_training(model, held_out, schedule, settings["seed"])
    record["corpus"] = json.loads(Path(snakemake.input.corpus).read_text())
    curve.to_csv(snakemake.output.curve, index=False)
    tokenizer.save_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    Path(snakemake.output.record).write_text(json.dumps(record, indent=2) + "\n")
