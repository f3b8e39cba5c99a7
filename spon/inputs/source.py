"""Find the files of a model, and read their digests and the model's shape, without its weights."""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

WEIGHT = re.compile(r"model\.layers\.(\d+)\.(.+)\.weight")
FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]


def locate(model: Mapping[str, str]) -> Path:
    """Return the folder that holds a model's files.

    A repository is downloaded once, into Hugging Face's cache.

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
    """Return the content of `model.json`: the source, the SHA-256 of each file, and the shape.

    Raises:
        ValueError: The folder holds no safetensors weights, or a model of another than a Llama-,
            Mistral- or Qwen-like shape.
    """
    folder = locate(model)
    # The record says how the model was trained, which changes nothing of what it computes.
    files = sorted(
        path for pattern in FILES for path in folder.glob(pattern) if path.name != "record.json"
    )
    return {
        "source": dict(model),
        "files": {path.name: digest_file(path) for path in files},
        "shape": read_shape(folder),
    }


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_shape(folder: Path) -> dict:
    """Read a model's shape from the headers of its safetensors files and its config.json.

    The names of the weights say enough for any Llama-, Mistral- or Qwen-shaped model, so its code
    is not needed.

    Returns:
        `layers`, `width`, `vocabulary`, `parameters` (their number), `linear_weights` (the number
        of weights of all linear maps of all layers), `tied` (whether the head is the embedding),
        and `maps`: `d_in` and `d_out` of a layer's linear maps by name.
    """
    shapes = read_weight_shapes(folder)
    maps, layers, linear_weights = {}, set(), 0
    for name, size in shapes.items():
        match = WEIGHT.fullmatch(name)
        if match and len(size) >= 2:
            linear_weights += math.prod(size)
        if match and len(size) == 2:
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
        "linear_weights": linear_weights,
        "tied": bool(config.get("tie_word_embeddings", False)),
        "maps": dict(sorted(maps.items())),
    }


def read_weight_shapes(folder: Path) -> dict[str, list[int]]:
    """Read the shape of every tensor in a folder's safetensors files, by name."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ValueError(
            f"the model in '{folder}' has no .safetensors file: only this format is read"
        )
    shapes = {}
    for path in paths:
        try:
            with safe_open(path, framework="np") as file:
                for name in file.keys():  # noqa: SIM118 (a safetensors file is no dict)
                    shapes[name] = file.get_slice(name).get_shape()
        except SafetensorError as error:
            raise ValueError(
                f"'{path}' is no safetensors file: if it is a git-lfs pointer, fetch it first"
            ) from error
    return shapes


def derive_shape(facts: Mapping) -> dict:
    """Derive the shape of a Llama-, Mistral- or Qwen-shaped model, as `read_shape` has it.

    Args:
        facts: Keys of a config.json, and `qk_norm` where every head's queries and keys have a
            norm.
    """
    width, vocabulary = facts["hidden_size"], facts["vocab_size"]
    layers, maps = facts["num_hidden_layers"], list_maps(facts)
    norms = 2 * width + (2 * facts["head_dim"] if facts.get("qk_norm") else 0)
    tables = 1 if facts["tie_word_embeddings"] else 2
    linear_weights = layers * sum(size["d_in"] * size["d_out"] for size in maps.values())
    return {
        "layers": layers,
        "width": width,
        "vocabulary": vocabulary,
        "tied": facts["tie_word_embeddings"],
        "parameters": linear_weights + layers * norms + width + tables * vocabulary * width,
        "linear_weights": linear_weights,
        "maps": maps,
    }


def list_maps(facts: Mapping) -> dict[str, dict[str, int]]:
    """Return the sizes `d_in` and `d_out` of a layer's linear maps, by name."""
    width, inner = facts["hidden_size"], facts["intermediate_size"]
    queries = facts["head_dim"] * facts["num_attention_heads"]
    keys = facts["head_dim"] * facts["num_key_value_heads"]
    sizes = {
        "mlp.down_proj": (inner, width),
        "mlp.gate_proj": (width, inner),
        "mlp.up_proj": (width, inner),
        "self_attn.k_proj": (width, keys),
        "self_attn.o_proj": (queries, width),
        "self_attn.q_proj": (width, queries),
        "self_attn.v_proj": (width, keys),
    }
    return {name: {"d_in": d_in, "d_out": d_out} for name, (d_in, d_out) in sizes.items()}


def read_catalogue(catalogue: Path) -> dict[str, dict]:
    """Read the facts of every model in the file, by repository."""
    return yaml.safe_load(catalogue.read_text())


def require_known(shape: Mapping) -> None:
    """Refuse a shape that could not be looked up, which has the reason under `unknown` instead.

    Raises:
        ValueError: The shape could not be looked up.
    """
    if "unknown" in shape:
        raise ValueError(shape["unknown"])


def look_up(repository: str, catalogue: Path) -> dict:
    """Look up the facts of a repository's model in a file and return its shape.

    Raises:
        ValueError: The file does not have the repository.
    """
    facts = read_catalogue(catalogue)
    if repository not in facts:
        raise ValueError(
            f"the shape of {repository} is not known: known are {', '.join(sorted(facts))}"
        )
    return derive_shape(facts[repository])
