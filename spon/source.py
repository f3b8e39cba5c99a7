"""Where a model comes from: its files, their digests and the shape that they declare. Reads no weights."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

WEIGHT = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]


def locate(model: Mapping[str, str]) -> Path:
    """The folder that holds a model's files; a repository is downloaded once, into Hugging Face's cache.

    Args:
        model: `{path: FOLDER}`, or `{repository: OWNER/NAME, revision: COMMIT}`.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    if "path" in model:
        folder = Path(model["path"])
        if not folder.is_dir():
            raise FileNotFoundError(
                f"model.path is '{folder}', which is no folder: name one with a config.json"
            )
        return folder
    return Path(
        snapshot_download(model["repository"], revision=model["revision"], allow_patterns=FILES)
    )


def describe(model: Mapping[str, str]) -> dict:
    """What `model.json` says: the source, the SHA-256 of each file, and the shape.

    Raises:
        ValueError: The folder holds no safetensors weights, or not a model of the shape that we
            know.
    """
    folder = locate(model)
    # How a model was trained is no part of what it computes.
    files = sorted(
        path for pattern in FILES for path in folder.glob(pattern) if path.name != "record.json"
    )
    return {
        "source": dict(model),
        "files": {path.name: digest_file(path) for path in files},
        "shape": read_shape(folder),
    }


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_shape(folder: Path) -> dict:
    """A model's layers, width, vocabulary, parameters, whether its head is its embedding, and its linear maps by name.

    Read from the headers of the safetensors files, so that any Llama-, Mistral- or Qwen-shaped
    model is understood without its code.
    """
    shapes = read_weight_shapes(folder)
    maps, layers = {}, set()
    for name, size in shapes.items():
        if (match := WEIGHT.fullmatch(name)) and len(size) == 2:
            layers.add(int(match[1]))
            maps[match[2]] = {"d_in": size[1], "d_out": size[0]}
    if not maps:
        raise ValueError(
            f"the model in '{folder}' has no weights named model.layers.N.MAP.weight: "
            f"allowed are Llama-, Mistral- and Qwen-shaped models"
        )
    config = json.loads((folder / "config.json").read_text())
    return {
        "layers": len(layers),
        "width": config["hidden_size"],
        "vocabulary": config["vocab_size"],
        "parameters": sum(math.prod(size) for size in shapes.values()),
        "tied": bool(config.get("tie_word_embeddings", False)),
        "maps": dict(sorted(maps.items())),
    }


def read_weight_shapes(folder: Path) -> dict[str, list[int]]:
    """The shape of every tensor in a folder's safetensors files."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ValueError(
            f"the model in '{folder}' has no .safetensors file: only this format is read"
        )
    shapes = {}
    for path in paths:
        try:
            with safe_open(path, framework="np") as file:
                shapes |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(
                f"'{path}' is no safetensors file: if it is a git-lfs pointer, fetch it first"
            ) from error
    return shapes
