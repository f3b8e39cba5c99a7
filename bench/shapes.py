"""Models of real shapes with random weights, for measuring: nothing is downloaded.

python -m bench.shapes llama-3.2-1b FOLDER      writes one that a study can name as its model
"""

import argparse
import shutil
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).parents[1]
SHAPES = {
    "pydoc": {
        "num_hidden_layers": 8,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 2048,
    },
    "smollm2-135m": {
        "num_hidden_layers": 30,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
        "rope_theta": 100000.0,
    },
    "llama-3.2-1b": {
        "num_hidden_layers": 16,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "rope_theta": 500000.0,
    },
}


def build(
    shape: str, device: str, dtype: torch.dtype, layers: int | None = None
) -> LlamaForCausalLM:
    """Build a model of a shape, or of its first `layers`, with random weights, frozen.

    Its head is its embedding.
    """
    sizes = dict(SHAPES[shape])
    if layers:
        sizes["num_hidden_layers"] = layers
    torch.manual_seed(0)
    with torch.device(device):
        network = LlamaForCausalLM(LlamaConfig(**sizes, tie_word_embeddings=True)).to(dtype)
    return network.requires_grad_(False).eval()


def main() -> None:
    """Write a model, with the tokenizer of the reference model.

    The tokens of that tokenizer are part of every shape's vocabulary.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, help="the first layers alone")
    arguments = parser.parse_args()
    network = build(arguments.shape, "cpu", torch.bfloat16, arguments.layers)
    network.save_pretrained(arguments.folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "resources/models/pydoc" / file, arguments.folder / file)


if __name__ == "__main__":
    main()
