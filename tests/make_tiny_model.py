"""Write resources/models/tiny: a two-layer Llama with random weights, for trying things out."""

import shutil
import sys
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

MODELS = Path(__file__).parents[1] / "resources/models"


def make_tiny_model(folder: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=32,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        # Large enough that predictions are far from uniform, so that sparsity does damage.
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MODELS / "pydoc" / name, folder / name)


if __name__ == "__main__":
    make_tiny_model(Path(sys.argv[1]) if len(sys.argv) > 1 else MODELS / "tiny")
