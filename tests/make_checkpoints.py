"""Write resources/checkpoints: made-up biases, for trying out a study of checkpoints alone."""

import json
import sys
from pathlib import Path

import torch

from spon.biases import write_biases

CHECKPOINTS = Path(__file__).parents[1] / "resources/checkpoints"
LAYERS, D_OUT, SPARSITY = 16, 32, 0.5


def make_checkpoints(folder: Path) -> None:
    """Two files of the published form and one of ours, more alike near the input."""
    source = torch.Generator().manual_seed(0)
    directions = torch.randn(LAYERS, D_OUT, generator=source) / D_OUT**0.5
    depth = torch.arange(LAYERS)[:, None]

    def draw(layers: int, last: float = 1.0) -> torch.Tensor:
        noise = torch.randn(LAYERS, D_OUT, generator=source) / D_OUT**0.5
        biases = 0.03 * (1 + depth / LAYERS) * (directions + (0.2 + depth / LAYERS) * noise)
        biases[layers - 1] *= (
            last  # the last layer of a part of the model stands in for those without a bias
        )
        return biases[:layers].clone()

    save_published(draw(LAYERS), "UNIF-ALL", folder)
    save_published(draw(LAYERS // 2, last=1.4), "TOP-50", folder)
    sites = {
        f"model.layers.{layer}.mlp.down_proj": bias for layer, bias in enumerate(draw(LAYERS))
    }
    made_by = {
        "rule": "made up by tests/make_checkpoints.py",
        "allocation": "UNIF-ALL",
        "sparsity": "0.5",
        "seed": "1",
    }
    write_biases(
        sites, folder / "UNIF-ALL_s0.5_seed1.safetensors", json.dumps(made_by, sort_keys=True)
    )


def save_published(biases: torch.Tensor, allocation: str, folder: Path) -> None:
    content = {
        "biases": {f"layer_{layer}_down_proj": bias.clone() for layer, bias in enumerate(biases)},
        "config_name": allocation,
        "sparsity": SPARSITY,
        "run_id": "made up by tests/make_checkpoints.py",
    }
    torch.save(content, folder / f"spon_{allocation}_s{SPARSITY:.2f}.pt")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKPOINTS
    target.mkdir(parents=True, exist_ok=True)
    make_checkpoints(target)
