"""Learned biases as the analyses see them: runs of float64 vectors, in the order of the layers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from safetensors.numpy import load_file

SUFFIX = ".bias"


@dataclass(frozen=True)
class Run:
    """The biases of an allocation at a sparsity with a seed.

    Attributes:
        biases: By site, layer by layer.
    """

    allocation: str
    sparsity: float
    seed: int
    biases: dict[str, Float64[np.ndarray, "d_out"]]

    @property
    def names(self) -> dict:
        """What tells this run from the others, as the tables begin."""
        return {"allocation": self.allocation, "sparsity": self.sparsity, "seed": self.seed}

    @property
    def maps(self) -> frozenset[str]:
        """The linear maps that have a bias in some layer."""
        return frozenset(map(map_of, self.biases))


def layer_of(site: str) -> int:
    """The layer of a site that is named as transformers names modules: 3 of `model.layers.3.mlp.down_proj`."""
    return int(site.split(".")[2])


def map_of(site: str) -> str:
    """The linear map of a site: `mlp.down_proj` of `model.layers.3.mlp.down_proj`."""
    return site.split(".", maxsplit=3)[3]


def describe_site(site: str) -> dict:
    """A site with its layer and map, as the tables name it."""
    return {"site": site, "layer": layer_of(site), "map": map_of(site)}


def read_run(path: str | Path, allocation: str, sparsity: float, seed: int) -> Run:
    """Read the biases of one run.

    Args:
        path: A file of `sparsify.save_biases`.
        allocation: The run's names, which the file does not tell.
        sparsity: See `allocation`.
        seed: See `allocation`.
    """
    biases = {
        name.removesuffix(SUFFIX): bias.astype(np.float64)
        for name, bias in load_file(path).items()
    }
    order = sorted(biases, key=lambda site: (layer_of(site), map_of(site)))
    return Run(allocation, float(sparsity), int(seed), {site: biases[site] for site in order})


def gather_runs(names: Sequence[Mapping], paths: Sequence[str | Path]) -> list[Run]:
    """Read the biases of several runs of one model.

    Args:
        names: `allocation`, `sparsity` and `seed` of every run.
        paths: Their files, in the same order.

    Raises:
        ValueError: A site has a bias of another length in another run.
    """
    runs = [read_run(path, **name) for name, path in zip(names, paths, strict=True)]
    sizes: dict[str, tuple[str, int]] = {}
    for run in runs:
        for site, bias in run.biases.items():
            first, size = sizes.setdefault(site, (run.allocation, len(bias)))
            if size != len(bias):
                raise ValueError(
                    f"the bias of {site} has {size} entries in {first} and {len(bias)} in {run.allocation}: "
                    f"allowed are runs of one model"
                )
    return runs


def count_layers(model: str | Path | None, layers: int | None) -> int:
    """Layers of the model that biases belong to.

    Args:
        model: Its `model.json`, if the study has a model.
        layers: What the study says, if it has none.
    """
    return json.loads(Path(model).read_text())["shape"]["layers"] if model else layers
