"""Read and write biases: safetensors files that also say which run they are of.

A bias is named as transformers names the parameter, so that folding it is copying it.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import ArrayLike
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from spon.inputs import check
from spon.sites import order_of

SUFFIX = ".bias"
NAME = re.compile(r"model\.layers\.\d+\.[\w.]+" + re.escape(SUFFIX))
# The names of a run that its file has.
OF_RUN = ["study", "allocation", "sparsity", "seed"]


def write_biases(biases: Mapping[str, ArrayLike], path: str | Path, made_by: str) -> None:
    """Write biases, float32, under the parameter names that transformers reads.

    Where the model has a bias of its own, the one in the file is to be added to it.

    Args:
        biases: By site; arrays, or tensors on the CPU.
        path: Of the file.
        made_by: JSON that says what made the biases, their run included. It is the file's one
            entry of metadata, since safetensors writes several in no fixed order.

    Raises:
        ValueError: An entry is not finite in float32; nothing is written.
    """
    arrays = {}
    for site, bias in biases.items():
        with np.errstate(over="ignore"):  # what is too large for float32 is refused below
            array = np.ascontiguousarray(bias, dtype=np.float32)
        assert array.ndim == 1, f"{site} has no vector but shape {array.shape}"
        check_finite(site, "bias", array)
        arrays[site + SUFFIX] = array
    save_file(arrays, path, metadata={"made_by": made_by})


def check_finite(site: str, name: str, vector: Float[np.ndarray, "channels"]) -> None:
    """Refuse what a site has under this name if an entry is not finite.

    Raises:
        ValueError: It names the site and the first such entry.
    """
    broken = np.flatnonzero(~np.isfinite(vector))
    if len(broken):
        raise ValueError(
            f"the {name} of {site} has {len(broken)} of {len(vector)} entries that are not finite "
            f"numbers in float32, first entry {broken[0]}"
        )


def read_biases(path: str | Path) -> dict[str, Float32[np.ndarray, "d_out"]]:
    """Read biases: float32 vectors by site, layer by layer.

    Raises:
        FileError: The file holds no biases, or one that is no finite float32 vector.
    """
    with check.reading(path):
        arrays = load_file(path)
    if not arrays:
        raise check.FileError(path, "holds no biases")
    for name, array in arrays.items():
        check_bias(name, array, path)
    biases = {name.removesuffix(SUFFIX): bias for name, bias in arrays.items()}
    return {site: biases[site] for site in sorted(biases, key=order_of)}


def check_bias(name: str, array: np.ndarray, path: str | Path) -> None:
    """Refuse what is no bias of a site."""
    if not NAME.fullmatch(name):
        raise check.FileError(path, f"has {name}, which is no bias of a site")
    if array.dtype != np.float32 or array.ndim != 1 or not array.size:
        kind = f"{array.dtype} of shape {list(array.shape)}"
        raise check.FileError(path, f"has {name} as {kind}, allowed is a float32 vector")
    if not np.isfinite(array).all():
        raise check.FileError(path, f"has an entry of {name} that is not finite")


def read_names(path: str | Path) -> dict[str, str]:
    """Read what made a file of biases: `allocation`, `sparsity`, `seed` and more, as text.

    It is empty if the file does not say.
    """
    with check.reading(path), safe_open(path, framework="np") as file:
        return dict(json.loads((file.metadata() or {}).get("made_by", "{}")))


def check_run(path: str | Path, names: Mapping[str, object]) -> None:
    """Refuse the biases of another run than that of these names, as far as their file says.

    Raises:
        FileError: It says another allocation, sparsity, seed or study.
    """
    told = read_names(path)
    for name in OF_RUN:
        if name in told and name in names and not check.is_same(told[name], names[name]):
            raise check.FileError(path, f"is of {name} {told[name]}, and not {names[name]}")
