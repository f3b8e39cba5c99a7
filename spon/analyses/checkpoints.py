"""Read biases that were learned elsewhere: list the runs of a folder of checkpoints, and read one.

No other module opens a pickle. The published biases are `.pt` files, which are pickles, and a
pickle can run code when it is read; `torch.load(weights_only=True)` builds tensors and plain
containers from it and refuses the rest, and `mmap=True` gives no tensor a byte that the file does
not hold. Torch is imported only where a file is read, since the workflow lists the folder each
time that it is parsed.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from spon import names
from spon.sites import RUN, TEAL, layer_of, name_site

NAME = re.compile(
    r"(?:spon_)?(?P<allocation>[A-Za-z0-9][\w.+-]*?)_s(?P<sparsity>0\.\d+)"
    r"(?:_seed(?P<seed>\d+))?\.(?:pt|safetensors)",
    re.ASCII,
)
NAME_FORM = "[spon_]ALLOCATION_sSPARSITY[_seedN].pt or .safetensors, such as spon_TOP-50_s0.50.pt"
FORMATS = (".pt", ".safetensors")
LARGEST_SEED = 999_999_999  # as in the config's schema
SHOWN = 60  # characters of what a checkpoint calls something
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
        ValueError: There is no such folder, or it holds no checkpoint, one of unknown name, two of
            the same run, or allocations that differ in case alone.
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
    alike = names.find_alike(run["allocation"] for run in runs)
    if alike:
        raise ValueError(
            f"checkpoints is '{folder}', which has the allocations '{alike[0]}' and '{alike[1]}': "
            f"allowed are names that differ in more than case"
        )
    return runs


def read_name(path: str | Path) -> dict:
    """Read the run in a checkpoint's file name: `allocation`, `sparsity` and `seed`."""
    match = NAME.fullmatch(Path(path).name)
    if not match:
        raise ValueError(
            f"the checkpoint '{path}' has a name that tells no run: allowed are {NAME_FORM}"
        )
    try:
        names.check_name(match["allocation"])
    except ValueError as mistake:
        raise ValueError(f"the allocation of the checkpoint '{path}' {mistake}") from mistake
    if match["allocation"] == TEAL:
        raise ValueError(
            f"the checkpoint '{path}' is called as a baseline is: allowed is any other"
        )
    sparsity, seed = float(match["sparsity"]), int((match["seed"] or "0")[:99])
    if not 0.001 <= sparsity <= 0.999 or seed > LARGEST_SEED:
        raise ValueError(
            f"the name of the checkpoint '{path}' says sparsity {match['sparsity']} and seed "
            f"{seed}: allowed are sparsities of 0.001 to 0.999 and seeds up to {LARGEST_SEED}"
        )
    return {"allocation": match["allocation"], "sparsity": sparsity, "seed": seed}


def check_run(path: str | Path, allocation: str, sparsity: float, seed: int) -> None:
    """Refuse a checkpoint whose name says another run than this one."""
    run = {"allocation": allocation, "sparsity": sparsity, "seed": seed}
    compare_names(path, read_name(path), run, "is wanted for")


def read_checkpoint(path: str | Path, layers: int) -> dict[str, "torch.Tensor"]:
    """Read the biases of a checkpoint: float32 vectors by site.

    Args:
        path: A `.pt` of the published form (`biases`, `config_name`, `sparsity`), or our
            safetensors.
        layers: How many the model has.

    Raises:
        ValueError: The file is neither, its content and its name say different runs, or a bias is
            no vector of finite numbers, is larger than the file or is of a layer that the model
            does not have.
    """
    read_format = read_published if Path(path).suffix == ".pt" else read_ours
    tensors, run = read_format(path)
    compare_names(path, read_name(path), run, "says that it holds")
    if not tensors:
        raise ValueError(f"the checkpoint '{path}' holds no bias")
    for site, bias in tensors.items():
        if layer_of(site) >= layers:
            raise ValueError(
                f"the checkpoint '{path}' has a bias at {site}: allowed are layers 0 to "
                f"{layers - 1}, since its model is said to have {layers}"
            )
        check_vector(path, site, bias)
    check_size(path, tensors)
    biases = {}
    for site, bias in tensors.items():
        # A copy, since a checkpoint may hold all of its biases in one storage, and safetensors
        # writes no shared one.
        biases[site] = bias.detach().float().clone()
        check_finite(path, site, bias, biases[site])
    return biases


def read_published(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict]:
    """Read a `.pt` file of the published form: its biases by site, and its run."""
    import torch

    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
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


def check_archive(path: str | Path) -> None:
    """Refuse a zip whose parts are larger than itself, as they are in one that is compressed.

    Raises:
        ValueError: It is; or it is no zip, as PyTorch's files have been since version 1.6.
    """
    with Path(path).open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path} is no zip")
        with zipfile.ZipFile(file) as archive:
            claimed = sum(part.file_size for part in archive.infolist())
    if claimed > Path(path).stat().st_size:
        raise ValueError(f"{path} has parts of {claimed} bytes")


def read_ours(path: str | Path) -> tuple[dict[str, "torch.Tensor"], dict]:
    """Read a safetensors file: its biases by site, and its run as far as its metadata names it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"the checkpoint '{path}' is no safetensors file") from error
    kinds = {"allocation": str, "sparsity": float, "seed": int}
    try:
        made_by = dict(json.loads(metadata.get("made_by", "{}")))
        run = {key: kind(made_by[key]) for key, kind in kinds.items() if key in made_by}
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the checkpoint '{path}' has metadata made_by that names no run: wanted is a JSON "
            f"object with allocation, sparsity and seed, or none"
        ) from error
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
                f"the checkpoint '{path}' has a bias '{show(name)}': "
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
                f"the checkpoint '{path}' {verb} {key} {show(value)}, "
                f"but its name says {name_says[key]}: they must agree"
            )


def show(value: object) -> str:
    """Return a value of a checkpoint as a sentence shows it: on one line, its start alone."""
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def check_vector(path: str | Path, site: str, bias: object) -> None:
    """Refuse a bias that is no plain vector of floating-point numbers.

    Of a sparse, quantised or meta tensor, the file does not hold the numbers one by one.
    """
    import torch

    is_plain = (
        isinstance(bias, torch.Tensor)
        and bias.layout is torch.strided
        and bias.device.type == "cpu"
        and not bias.is_nested
        and bias.is_floating_point()
    )
    if not (is_plain and bias.ndim == 1 and len(bias)):
        kind = "" if is_plain or not isinstance(bias, torch.Tensor) else describe_kind(bias)
        shape = list(getattr(bias, "shape", []))
        raise ValueError(
            f"the checkpoint '{path}' has a {kind}bias of shape {shape} at {site}: "
            f"allowed are vectors of floating-point numbers"
        )


def describe_kind(bias: "torch.Tensor") -> str:
    """Return what keeps a tensor from being a plain one, as a word before `bias`; may be empty."""
    kinds = {
        "meta ": bias.is_meta,
        "quantised ": bias.is_quantized,
        "nested ": bias.is_nested,
        "sparse ": str(bias.layout) not in ("torch.strided", "torch.jagged"),
    }
    return next((kind for kind, is_so in kinds.items() if is_so), "")


def check_size(path: str | Path, tensors: Mapping[str, "torch.Tensor"]) -> None:
    """Refuse biases that claim more bytes than the file has, as a view that repeats one number."""
    claimed, size = 0, Path(path).stat().st_size
    for site, bias in tensors.items():
        claimed += bias.numel() * bias.element_size()
        if claimed > size:
            raise ValueError(
                f"the checkpoint '{path}' has a bias of shape {list(bias.shape)} at {site}, with "
                f"which its biases take {claimed} bytes: allowed are {size}, those of the file"
            )


def check_finite(
    path: str | Path, site: str, bias: "torch.Tensor", single: "torch.Tensor"
) -> None:
    """Refuse a bias with an entry that is not finite in float32, `single`."""
    if not single.isfinite().all():
        index = int((~single.isfinite()).nonzero()[0])
        raise ValueError(
            f"the checkpoint '{path}' has the bias {bias[index].item()} at {site}: "
            f"allowed are finite numbers, in float32"
        )


def describe_file(path: str | Path, layers: int) -> dict:
    """Describe a checkpoint for a study's list: run, file name, SHA-256 and number of sites."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return read_name(path) | {
        "file": Path(path).name,
        "sha256": digest,
        "sites": len(read_checkpoint(path, layers)),
    }
