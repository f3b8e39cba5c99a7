"""Biases on disk: safetensors under the names that folding gives them, and what they say of their run."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy.typing import ArrayLike
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from spon.sites import order_of

SUFFIX = ".bias"


def write_biases(biases: Mapping[str, ArrayLike], path: str | Path, made_by: str) -> None:
    """Write biases, float32, under the parameter names that transformers reads.

    Where the model has a bias of its own, what is written is to be added to it.

    Args:
        biases: By site; arrays, or tensors on the CPU.
        path: Of the file.
        made_by: What made it, as JSON, its run among it. All metadata is this one entry, since
            safetensors writes several in an order of its own.
    """
    arrays = {
        site + SUFFIX: np.ascontiguousarray(bias, dtype=np.float32)
        for site, bias in biases.items()
    }
    save_file(arrays, path, metadata={"made_by": made_by})


def read_biases(path: str | Path) -> dict[str, Float32[np.ndarray, "d_out"]]:
    """Read biases by site, float32, layer by layer."""
    biases = {name.removesuffix(SUFFIX): bias for name, bias in load_file(path).items()}
    return {site: biases[site] for site in sorted(biases, key=order_of)}


def read_names(path: str | Path) -> dict[str, str]:
    """What made a file of biases, as it says itself: `allocation`, `sparsity` and `seed`, and more."""
    with safe_open(path, framework="np") as file:
        return json.loads(file.metadata()["made_by"])
