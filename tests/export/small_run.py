"""A run of a tiny model in a study's folder, as jobs would have left it, and its parts."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from transformers import (
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from spon import biases, sparsify
from spon.export.run import Run
from spon.inputs import source
from spon.sites import name_sites

TOKENIZER = Path(__file__).parents[2] / "resources/models/tiny/tokenizer.json"
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 48,
    "vocab_size": 2048,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "initializer_range": 0.15,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}
CONFIGS = {
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "qwen2": Qwen2Config,
    "qwen3": Qwen3Config,
    "gemma": GemmaConfig,
}
THRESHOLD = 0.05
NAMES = {"study": "small", "allocation": "ALL", "scope": "down", "sparsity": 0.5, "seed": 0}
TOKENS = torch.randint(
    0, 2048, (3, 16), generator=torch.Generator().manual_seed(1), dtype=torch.int32
)


def make_model(folder, family="llama", **changes):
    """Write a random model of a family, all its biases too, and return the folder."""
    torch.manual_seed(0)
    config = CONFIGS[family](**SIZES | changes)
    network = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)](config)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER)).save_pretrained(folder)
    return folder


def make_run(folder, maps=("mlp.down_proj",), method="threshold", **parts):
    """A run of the model in a folder, with a random bias at every site of some maps."""
    model = source.describe({"path": str(folder)})
    sites = name_sites(2, maps)
    generator = torch.Generator().manual_seed(2)
    sizes = {site: model["shape"]["maps"][site.split(".", 3)[3]]["d_out"] for site in sites}
    return Run(
        names=NAMES,
        method=method,
        dense_share=0.0,
        dtype="float32",
        thresholds=dict.fromkeys(sites, THRESHOLD if method == "threshold" else float("nan")),
        biases={
            site: torch.randn(size, generator=generator).numpy() for site, size in sizes.items()
        },
        model=model,
        **parts,
    )


def write_study(root, run):
    """Write a run into a study's folder with the record of its evaluation; return its folder."""
    study = root / "results/small"
    folder = study / "ALL/s0.5/seed0"
    folder.mkdir(parents=True)
    biases.write_biases(run.biases, folder / "biases.safetensors", json.dumps(NAMES))
    rows = pd.DataFrame(run.thresholds.items(), columns=["site", "threshold"])
    (study / "down/s0.5").mkdir(parents=True)
    rows.assign(scope="down", sparsity=0.5).to_csv(study / "down/s0.5/thresholds.csv", index=False)
    (study / "model.json").write_text(json.dumps(run.model))
    (study / "tokens").mkdir()
    save_file({"tokens": TOKENS}, study / "tokens/evaluation.safetensors")
    read = ["ALL/s0.5/seed0/biases.safetensors", "down/s0.5/thresholds.csv", "model.json"]
    names = {name: value for name, value in NAMES.items() if name != "study"}
    sparsification = {"method": run.method, "dense_share": 0.0, "dtype": "float32"}
    record = {
        "rule": "evaluate_spon",
        "job": "0123456789abcdef",
        "spec": {"names": names, "sparsification": sparsification},
        "inputs": {
            f"results/small/{name}": hashlib.sha256((study / name).read_bytes()).hexdigest()
            for name in read
        },
    }
    path = study / "lineage/ALL/s0.5/seed0/evaluate_spon.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    return folder


def predict(network, run=None, is_sparse=False):
    """Logits of a model with a run's biases, sparsified or not, by the library's own contexts."""
    vectors = {site: torch.from_numpy(bias) for site, bias in run.biases.items()} if run else {}
    sparsifiers = {}
    if is_sparse:
        parts = (run.thresholds, run.method, run.sparsity, run.dense_share)
        sparsifiers = sparsify.make_sparsifiers(network, *parts)
    with (
        torch.inference_mode(),
        sparsify.sparsified(network, sparsifiers),
        sparsify.biased(network, vectors),
    ):
        return network(input_ids=TOKENS.long(), use_cache=False).logits
