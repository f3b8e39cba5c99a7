"""Find the files of a model, and read their digests and the model's shape, without its weights."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

IN_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+?)(\.weight)?")
# An expert is a part of its layer's map of experts, and no map that every token passes.
EXPERT = re.compile(r"(^|\.)experts(\.|$)")
WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
# What a tokenizer or a config is read from. How the model was trained changes nothing of it.
SMALL = ["*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken"]
RECORD = "record.json"
# Numbers of a config.json: those without which there is no shape, and further ones.
NEEDED = ["num_hidden_layers", "hidden_size", "vocab_size"]
USED = ["num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size"]
USED += ["max_position_embeddings", "num_nextn_predict_layers"]


def locate(model: Mapping[str, str]) -> Path:
    """Return the folder that holds a model's files.

    A repository is downloaded once, into Hugging Face's cache: small files, and the weights that
    its index names.

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
    place = {"repo_id": model["repository"], "revision": model["revision"]}
    folder = Path(snapshot_download(**place, allow_patterns=SMALL))
    return Path(snapshot_download(**place, allow_patterns=[*SMALL, *name_weights(folder)]))


def describe(model: Mapping[str, str]) -> dict:
    """Return the content of `model.json`: the source, the SHA-256 of each file, and the shape.

    Raises:
        ValueError: The folder holds no safetensors weights, or a model whose layers are not named
            as Llama's.
    """
    folder = locate(model)
    shape = read_shape(folder)
    files = {name: digest_file(folder / name) for name in list_files(folder)}
    return {"source": dict(model), "files": files, "shape": shape}


def list_files(folder: Path) -> list[str]:
    """Return the names of the files that a model and its tokenizer are read from, sorted."""
    small = {path.name for pattern in SMALL for path in folder.glob(pattern) if path.is_file()}
    return sorted(small - {RECORD} | set(name_weights(folder)))


def name_weights(folder: Path) -> list[str]:
    """Return the names of the files that hold a model's weights: those that its index names.

    Raises:
        ValueError: An index names other files beside a `model.safetensors`, or cannot be read.
    """
    if not (folder / INDEX).exists():
        return [WEIGHTS]
    weight_map = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"'{folder / INDEX}' is no index: it lacks a weight_map")
    named = sorted(set(map(str, weight_map.values())))
    elsewhere = [name for name in named if Path(name).name != name]
    if elsewhere:
        raise ValueError(
            f"'{folder / INDEX}' names '{elsewhere[0]}': allowed are files beside the index"
        )
    if named != [WEIGHTS] and (folder / WEIGHTS).exists():
        raise ValueError(
            f"the model in '{folder}' has {WEIGHTS}, and {INDEX}, which names others: delete the "
            f"one that is not meant"
        )
    return named


@contextmanager
def gathered(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    """Yield a folder that holds links to these files alone, so that a reader finds no other."""
    with TemporaryDirectory(prefix="spon-") as links:
        for name in names:
            Path(links, name).symlink_to((folder / name).resolve())
        yield Path(links)


@contextmanager
def explained(what: str, folder: Path) -> Iterator[None]:
    """Turn whatever transformers raises about a model or tokenizer into one sentence.

    Raises:
        ValueError: transformers raised something.
    """
    try:
        yield
    except Exception as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        reason = f"transformers {version('transformers')} cannot read it ({cause[:200]})"
        if "trust_remote_code" in cause:
            reason = "it needs Python code of its own, which is never run"
        elif "does not recognize this architecture" in cause:
            reason = f"transformers {version('transformers')} does not know its model_type"
        raise ValueError(f"the {what} in '{folder}' is not supported: {reason}") from error


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict:
    """Read a JSON file of a model.

    Raises:
        ValueError: There is none, or it is no JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"the model in '{path.parent}' has no {path.name}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"'{path}' is no JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"'{path}' holds no JSON object")
    return content


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
