"""Read the shape of a model without its weights, or derive it from facts about the model."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import yaml
from safetensors import SafetensorError, safe_open

from spon.inputs.folder import CONFIG, name_weights, read_json

IN_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+?)(\.weight)?")
# An expert is a part of its layer's map of experts, and no map that every token passes.
EXPERT = re.compile(r"(^|\.)experts(\.|$)")
# Numbers of a config.json: those without which there is no shape, and further ones.
NEEDED = ["num_hidden_layers", "hidden_size", "vocab_size"]
USED = ["num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size"]
USED += ["max_position_embeddings", "num_nextn_predict_layers"]


def read_shape(folder: Path) -> dict:
    """Read a model's shape from the headers of its safetensors files and its config.json.

    The names of the weights say enough for any model whose layers are named as Llama's, so its
    code is not needed.

    Returns:
        `layers`, `width`, `vocabulary`, `positions` (the longest block that it knows, None without
        a limit), `heads_width` and `keys_width` (entries of a token's queries, and of its keys),
        `inner` (width inside the MLP), `parameters` (their number), `linear_weights` (those of the
        layers' linear maps, experts included), `tied` (whether the head is the embedding),
        `maps`: `d_in` and `d_out` by name of the linear maps that every layer has alike, and
        `lacking`: of other maps, a layer that has none or another size.

    Raises:
        ValueError: The files are no such model, or contradict one another.
    """
    config, shapes = read_config(folder), read_weight_shapes(folder)
    layers = config["num_hidden_layers"]
    by_layer = sort_by_layer(shapes)
    if not by_layer:
        raise ValueError(
            f"the model in '{folder}' has no weights named model.layers.N.MAP.weight: allowed are "
            f"models whose layers are named so, as Llama's, Mistral's and Qwen's"
        )
    # Layers that predict further tokens stand behind the others, and transformers ignores them.
    most = layers + (config.get("num_nextn_predict_layers") or 0)
    if not set(range(layers)) <= set(by_layer) <= set(range(most)):
        raise ValueError(
            f"the model in '{folder}' has weights of layers {min(by_layer)} to {max(by_layer)} "
            f"({len(by_layer)} layers), but num_hidden_layers is {layers} in {CONFIG}: allowed is "
            "the same number"
        )
    rows = shapes.get("model.embed_tokens.weight", [config["vocab_size"]])[0]
    if rows != config["vocab_size"]:
        raise ValueError(
            f"the model in '{folder}' has embeddings of {rows} tokens, but vocab_size is "
            f"{config['vocab_size']} in {CONFIG}: allowed is the same number"
        )
    inside = [by_layer[layer] for layer in range(layers)]
    return {
        "layers": layers,
        "width": config["hidden_size"],
        "vocabulary": config["vocab_size"],
        "positions": config.get("max_position_embeddings"),
        **count_widths(config),
        "parameters": sum(math.prod(size) for size in shapes.values()),
        "linear_weights": sum(math.prod(size) for maps in inside for size in maps.values()),
        "tied": bool(config.get("tie_word_embeddings", False)),
        **compare_layers(inside),
    }


def check_positions(length: int, shape: Mapping) -> None:
    """Refuse blocks that are longer than the positions that a model knows.

    Raises:
        ValueError: They are.
    """
    if shape["positions"] and length > shape["positions"]:
        raise ValueError(
            f"protocol.block_length is {length}, the model knows {shape['positions']} positions: "
            f"allowed is {shape['positions']} or less"
        )


def read_config(folder: Path) -> dict:
    """Read a model's config.json.

    Raises:
        ValueError: It lacks what says the model's shape, or its weights are quantised.
    """
    config = read_json(folder / CONFIG)
    for key in NEEDED:
        if config.get(key) is None:
            raise ValueError(
                f"'{folder / CONFIG}' lacks {key}: allowed are models whose layers are named as "
                f"Llama's, Mistral's and Qwen's"
            )
    for key in [*NEEDED, *USED]:
        value = config.get(key)
        if value is not None and (not isinstance(value, int) or value < 0):
            raise ValueError(
                f"'{folder / CONFIG}' has {key} {json.dumps(value)}: allowed is one number for "
                f"all layers"
            )
    if quantised := config.get("quantization_config"):
        raise ValueError(
            f"the weights in '{folder}' are quantised ({json.dumps(quantised)[:80]}): allowed are "
            f"float weights"
        )
    return config


def sort_by_layer(shapes: Mapping[str, list[int]]) -> dict[int, dict[str, list[int]]]:
    """Return the sizes of each layer's matrices by name; experts may be three-dimensional."""
    by_layer: dict[int, dict[str, list[int]]] = {}
    for name, size in shapes.items():
        if found := IN_LAYER.fullmatch(name):
            is_matrix = len(size) == 2 and found[3]
            if is_matrix or (len(size) == 3 and EXPERT.search(found[2])):
                by_layer.setdefault(int(found[1]), {})[found[2]] = size
    return by_layer


def compare_layers(layers: list[dict[str, list[int]]]) -> dict[str, dict]:
    """Return `maps` and `lacking`, as `read_shape` does."""
    maps, lacking = {}, {}
    for name in sorted({name for layer in layers for name in layer if not EXPERT.search(name)}):
        sizes = [layer.get(name) for layer in layers]
        usual = max((size for size in sizes if size), key=sizes.count)
        if all(size == usual for size in sizes):
            maps[name] = {"d_in": usual[1], "d_out": usual[0]}
        else:
            lacking[name] = next(i for i, size in enumerate(sizes) if size != usual)
    return {"maps": maps, "lacking": lacking}


def count_widths(config: Mapping) -> dict[str, int]:
    """Return `heads_width`, `keys_width` and `inner`, as `read_shape` does."""
    # ASSUME: a model that does not say so is as Llama's first ones are: every head has keys of its
    # own, and the MLP is four times as wide. These widths serve estimates of memory and time.
    heads = config.get("num_attention_heads") or 1
    size = config.get("head_dim") or config["hidden_size"] // heads
    return {
        "heads_width": heads * size,
        "keys_width": (config.get("num_key_value_heads") or heads) * size,
        "inner": config.get("intermediate_size") or 4 * config["hidden_size"],
    }


def read_weight_shapes(folder: Path) -> dict[str, list[int]]:
    """Read the shape of every tensor in the files that hold a model's weights, by name.

    Raises:
        ValueError: A file is not there, is no safetensors file, or lacks what the index says.
    """
    shapes = {}
    for name in name_weights(folder):
        path = folder / name
        if not path.exists():
            raise ValueError(
                f"the model in '{folder}' has no {name}: only weights in the safetensors format "
                f"are read"
            )
        try:
            with safe_open(path, framework="np") as file:
                for tensor in file.keys():  # noqa: SIM118 (a safetensors file is no dict)
                    shapes[tensor] = file.get_slice(tensor).get_shape()
        except (SafetensorError, OSError) as error:
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
    linear = sum(size["d_in"] * size["d_out"] for size in maps.values())
    return {
        "layers": layers,
        "width": width,
        "vocabulary": vocabulary,
        "positions": facts.get("max_position_embeddings"),
        **count_widths(facts),
        "parameters": layers * (norms + linear) + width + tables * vocabulary * width,
        "linear_weights": layers * linear,
        "tied": facts["tie_word_embeddings"],
        "maps": maps,
        "lacking": {},
    }


def list_maps(facts: Mapping) -> dict[str, dict[str, int]]:
    """Return the sizes `d_in` and `d_out` of a layer's linear maps, by name."""
    width = facts["hidden_size"]
    queries, keys, inner = count_widths(facts).values()
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
