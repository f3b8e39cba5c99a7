"""Derive the shape of a model whose weights are not here from a few facts of its config.json."""

from collections.abc import Mapping
from pathlib import Path

import yaml


def derive_shape(facts: Mapping) -> dict:
    """Derive the shape of a Llama-, Mistral- or Qwen-shaped model, as `source.read_shape` has it.

    Args:
        facts: Keys of a config.json, and `qk_norm` where every head's queries and keys have a
            norm.
    """
    width, vocabulary = facts["hidden_size"], facts["vocab_size"]
    layers, maps = facts["num_hidden_layers"], list_maps(facts)
    norms = 2 * width + (2 * facts["head_dim"] if facts.get("qk_norm") else 0)
    tables = 1 if facts["tie_word_embeddings"] else 2
    in_layer = norms + sum(size["d_in"] * size["d_out"] for size in maps.values())
    return {
        "layers": layers,
        "width": width,
        "vocabulary": vocabulary,
        "tied": facts["tie_word_embeddings"],
        "parameters": layers * in_layer + width + tables * vocabulary * width,
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
