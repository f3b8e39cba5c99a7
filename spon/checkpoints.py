"""Biases learned elsewhere: which runs a folder of checkpoints holds, and what one of them says.

The only place that opens a pickle: the published biases are `.pt` files, which are pickles, and a
pickle can run code when it is read. `torch.load(weights_only=True)` builds tensors and plain
containers from it and refuses the rest. Everything behind this seam is safetensors. Torch is
imported only to read a file, as the workflow lists the folder each time that it is parsed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from spon.sites import name_site

NAME = re.compile(
    r"(?:spon_)?(?P<allocation>[A-Za-z0-9][\w.+-]*?)_s(?P<sparsity>0\.\d+)(?:_seed(?P<seed>\d+))?\.(?:pt|safetensors)"
)
NAME_FORM = "[spon_]ALLOCATION_sSPARSITY[_seedN].pt or .safetensors, such as spon_TOP-50_s0.50.pt"
FORMATS = (".pt", ".safetensors")
MAPS = {
    "q_proj": "self_attn.q_proj",
    "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj",
    "o_proj": "self_attn.o_proj",
    "gate_proj": "mlp.gate_proj",
    "up_proj": "mlp.up_proj",
    "down_proj": "mlp.down_proj",
}
# How each format names a bias.
PUBLISHED_BIAS = re.compile(rf"layer_(?P<layer>0|[1-9]\d*)_(?P<map>{'|'.join(MAPS)})")
OUR_BIAS = re.compile(
    rf"model\.layers\.(?P<layer>0|[1-9]\d*)\.(?P<map>{'|'.join(map(re.escape, MAPS.values()))})\.bias"
)


def find_checkpoints(folder: str | Path) -> list[dict]:
    """The runs that a folder holds a checkpoint of, by the files' names alone.

    Returns:
        `allocation`, `sparsity`, `seed` and `file` of each, in this order; a name without a seed
        has seed 0.

    Raises:
        ValueError: There is no such folder, or it holds no checkpoint, one of unknown name, or two
            of the same run.
    """
    if not Path(folder).is_dir():
        raise ValueError(
            f"checkpoints is '{folder}', which is no folder: name one with files {NAME_FORM}"
        )
    files = sorted(path for path in Path(folder).iterdir() if path.suffix in FORMATS)
    if not files:
        raise ValueError(
            f"checkpoints is '{folder}', which holds no .pt or .safetensors file: allowed are {NAME_FORM}"
        )
    found = sorted(
        (read_name(path) | {"file": str(path)} for path in files),
        key=lambda run: tuple(run.values()),
    )
    for before, run in pairwise(found):
        if list(before.values())[:3] == list(run.values())[:3]:
            raise ValueError(
                f"'{before['file']}' and '{run['file']}' are both {run['allocation']} at sparsity {run['sparsity']} "
                f"with seed {run['seed']}: allowed is one checkpoint per run"
            )
    return found


def read_name(path: str | Path) -> dict:
    """The run that a checkpoint's file name tells: `allocation`, `sparsity` and `seed`."""
    match = NAME.fullmatch(Path(path).name)
    if not match:
        raise ValueError(
            f"the checkpoint '{path}' has a name that tells no run: allowed are {NAME_FORM}"
        )
    return {
        "allocation": match["allocation"],
        "sparsity": float(match["sparsity"]),
        "seed": int(match["seed"] or 0),
    }


def check_run(path: str | Path, allocation: str, sparsity: float, seed: int) -> None:
    """Refuse a checkpoint of another run."""
    wanted = {"allocation": allocation, "sparsity": sparsity, "seed": seed}
    compare_names(path, read_name(path), wanted, "is wanted for")


def read_checkpoint(path: str | Path) -> dict[str, "torch.Tensor"]:
    """The biases of a checkpoint by site, float32 vectors.

    Args:
        path: A `.pt` of the published form (`biases`, `config_name`, `sparsity`), or our
            safetensors.

    Raises:
        ValueError: The file is neither, what it says of its run is not what its name says, or a
            bias is no vector of finite numbers.
    """
    tensors, told = (read_published if Path(path).suffix == ".pt" else read_ours)(path)
    compare_names(path, read_name(path), told, "says that it holds")
    if not tensors:
        raise ValueError(f"the checkpoint '{path}' holds no bias")
    for site, bias in tensors.items():
        check_bias(path, site, bias)
    # Copies, since a checkpoint may hold all of its biases in one storage, and safetensors writes
    # no shared one.
    return {site: bias.detach().float().clone() for site, bias in tensors.items()}


def read_published(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict]:
    """The biases of a `.pt` file of the published form, and what it tells of its run."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of several kinds, by what the file is instead
        raise ValueError(
            f"the checkpoint '{path}' is no PyTorch file of tensors and plain values alone"
        ) from error
    keys = {"biases": dict, "config_name": str, "sparsity": float}
    if not isinstance(content, dict) or any(
        not isinstance(content.get(key), kind) for key, kind in keys.items()
    ):
        raise ValueError(
            f"the checkpoint '{path}' is not of the published form: wanted are the keys biases (tensors by name), "
            f"config_name (text) and sparsity (a share)"
        )
    told = {"allocation": content["config_name"], "sparsity": content["sparsity"]}
    return name_sites(path, content["biases"], PUBLISHED_BIAS, "layer_N_MAP"), told


def read_ours(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict]:
    """The biases of a safetensors file, and what it tells of its run if a workflow like this one wrote it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"the checkpoint '{path}' is no safetensors file") from error
    made_by = json.loads(metadata.get("made_by", "{}"))
    kinds = {"allocation": str, "sparsity": float, "seed": int}
    told = {key: kind(made_by[key]) for key, kind in kinds.items() if key in made_by}
    return name_sites(path, tensors, OUR_BIAS, "model.layers.N.MAP.bias"), told


def name_sites(
    path: str | Path, tensors: Mapping, pattern: re.Pattern, form: str
) -> dict[str, "torch.Tensor"]:
    """Biases by site, from biases by the name that a format gives them."""
    sites = {}
    for name, tensor in tensors.items():
        match = pattern.fullmatch(str(name))
        if not match:
            raise ValueError(
                f"the checkpoint '{path}' has a bias '{name}': allowed are {form} of {', '.join(MAPS)}"
            )
        site = name_site(int(match["layer"]), MAPS.get(match["map"], match["map"]))
        sites[site] = tensor
    return sites


def compare_names(path: str | Path, named: Mapping, told: Mapping, verb: str) -> None:
    """Refuse a checkpoint whose name and another source disagree about the run."""
    for key, value in told.items():
        if value != named[key]:
            raise ValueError(
                f"the checkpoint '{path}' {verb} {key} {value}, but its name says {named[key]}: they must agree"
            )


def check_bias(path: str | Path, site: str, bias: object) -> None:
    """Refuse what is no vector of finite numbers."""
    import torch

    if not (
        isinstance(bias, torch.Tensor)
        and bias.is_floating_point()
        and bias.ndim == 1
        and len(bias)
    ):
        shape = list(getattr(bias, "shape", []))
        raise ValueError(
            f"the checkpoint '{path}' has a bias of shape {shape} at {site}: "
            f"allowed are vectors of floating-point numbers"
        )
    if not bias.isfinite().all():
        index = int((~bias.isfinite()).nonzero()[0])
        raise ValueError(
            f"the checkpoint '{path}' has the bias {bias[index]} at {site}: allowed are finite numbers"
        )


def describe_file(path: str | Path) -> dict:
    """A checkpoint as a study lists it: its run, file name, SHA-256 and number of sites."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return read_name(path) | {
        "file": Path(path).name,
        "sha256": digest,
        "sites": len(read_checkpoint(path)),
    }
