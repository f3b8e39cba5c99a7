"""Read biases that were learned elsewhere: list the runs of a folder of checkpoints, and read one.

No other module opens a pickle. The published biases are `.pt` files, which are pickles, and a
pickle can run code when it is read; `torch.load(weights_only=True)` builds tensors and plain
containers from it and refuses the rest. Torch is imported only where a file is read, since the
workflow lists the folder each time that it is parsed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from spon.sites import RUN, name_site

NAME = re.compile(
    r"(?:spon_)?(?P<allocation>[A-Za-z0-9][\w.+-]*?)_s(?P<sparsity>0\.\d+)"
    r"(?:_seed(?P<seed>\d+))?\.(?:pt|safetensors)"
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
    r"model\.layers\.(?P<layer>0|[1-9]\d*)\."
    rf"(?P<map>{'|'.join(map(re.escape, MAPS.values()))})\.bias"
)


def find_checkpoints(folder: str | Path) -> list[dict]:
    """List the runs that a folder holds a checkpoint of, by the files' names alone.

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
            f"checkpoints is '{folder}', which holds no .pt or .safetensors file: "
            f"allowed are {NAME_FORM}"
        )
    runs = sorted(
        (read_name(path) | {"file": str(path)} for path in files),
        key=lambda run: tuple(run.values()),
    )
    for before, run in pairwise(runs):
        if all(before[name] == run[name] for name in RUN):
            raise ValueError(
                f"'{before['file']}' and '{run['file']}' are both {run['allocation']} at sparsity "
                f"{run['sparsity']} with seed {run['seed']}: allowed is one checkpoint per run"
            )
    return runs


def read_name(path: str | Path) -> dict:
    """Read the run in a checkpoint's file name: `allocation`, `sparsity` and `seed`."""
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
    """Refuse a checkpoint whose name says another run than this one."""
    run = {"allocation": allocation, "sparsity": sparsity, "seed": seed}
    compare_names(path, read_name(path), run, "is wanted for")


def read_checkpoint(path: str | Path) -> dict[str, "torch.Tensor"]:
    """Read the biases of a checkpoint: float32 vectors by site.

    Args:
        path: A `.pt` of the published form (`biases`, `config_name`, `sparsity`), or our
            safetensors.

    Raises:
        ValueError: The file is neither, its content and its name say different runs, or a bias is
            no vector of finite numbers.
    """
    read_format = read_published if Path(path).suffix == ".pt" else read_ours
    tensors, run = read_format(path)
    compare_names(path, read_name(path), run, "says that it holds")
    if not tensors:
        raise ValueError(f"the checkpoint '{path}' holds no bias")
    for site, bias in tensors.items():
        check_bias(path, site, bias)
    # Copies, since a checkpoint may hold all of its biases in one storage, and safetensors writes
    # no shared one.
    return {site: bias.detach().float().clone() for site, bias in tensors.items()}


def read_published(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict]:
    """Read a `.pt` file of the published form: its biases by site, and its run."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of several kinds, by what the file is instead
        raise ValueError(
            f"the checkpoint '{path}' is no PyTorch file of tensors and plain values alone"
        ) from error
    kinds = {"biases": dict, "config_name": str, "sparsity": float}
    is_published = isinstance(content, dict) and all(
        isinstance(content.get(key), kind) for key, kind in kinds.items()
    )
    if not is_published:
        raise ValueError(
            f"the checkpoint '{path}' is not of the published form: wanted are the keys biases "
            f"(tensors by name), config_name (text) and sparsity (a share)"
        )
    run = {"allocation": content["config_name"], "sparsity": content["sparsity"]}
    return name_sites(path, content["biases"], PUBLISHED_BIAS, "layer_N_MAP"), run


def read_ours(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict]:
    """Read a safetensors file: its biases by site, and its run as far as its metadata names it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"the checkpoint '{path}' is no safetensors file") from error
    made_by = json.loads(metadata.get("made_by", "{}"))
    kinds = {"allocation": str, "sparsity": float, "seed": int}
    run = {key: kind(made_by[key]) for key, kind in kinds.items() if key in made_by}
    return name_sites(path, tensors, OUR_BIAS, "model.layers.N.MAP.bias"), run


def name_sites(
    path: str | Path, tensors: Mapping, pattern: re.Pattern, form: str
) -> dict[str, "torch.Tensor"]:
    """Return biases by site, from biases by the name that a format gives them."""
    sites = {}
    for name, tensor in tensors.items():
        match = pattern.fullmatch(str(name))
        if not match:
            raise ValueError(
                f"the checkpoint '{path}' has a bias '{name}': "
                f"allowed are {form} of {', '.join(MAPS)}"
            )
        site = name_site(int(match["layer"]), MAPS.get(match["map"], match["map"]))
        sites[site] = tensor
    return sites


def compare_names(path: str | Path, name_says: Mapping, run: Mapping, verb: str) -> None:
    """Refuse a checkpoint whose file name says another run than `run`."""
    for key, value in run.items():
        if value != name_says[key]:
            raise ValueError(
                f"the checkpoint '{path}' {verb} {key} {value}, "
                f"but its name says {name_says[key]}: they must agree"
            )


def check_bias(path: str | Path, site: str, bias: object) -> None:
    """Refuse a bias that is no vector of finite numbers."""
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
            f"the checkpoint '{path}' has the bias {bias[index]} at {site}: "
            f"allowed are finite numbers"
        )


def describe_file(path: str | Path) -> dict:
    """Describe a checkpoint for a study's list: run, file name, SHA-256 and number of sites."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return read_name(path) | {
        "file": Path(path).name,
        "sha256": digest,
        "sites": len(read_checkpoint(path)),
    }
