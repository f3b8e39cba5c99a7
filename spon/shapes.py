"""The shape of a model that is not here, from a few facts of its config.json."""

from collections.abc import Mapping
from pathlib import Path

import yaml


def derive_shape(facts: Mapping) -> dict:
    """What `source.read_shape` reads from the weights, for a Llama-, Mistral- or Qwen-shaped model without any.

    Args:
        facts: Keys of a config.json, and `qk_norm` where every head's queries and keys have a
            norm.
    """
    width, vocabulary, layers = (
        facts["hidden_size"],
        facts["vocab_size"],
        facts["num_hidden_layers"],
    )
    maps = list_maps(facts)
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
    """A layer's linear maps by name."""
    width, inner = facts["hidden_size"], facts["intermediate_size"]
    queries, keys = (
        facts["head_dim"] * facts[f"num_{name}_heads"] for name in ("attention", "key_value")
    )
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
    """The facts of every model that the file has, by repository."""
    return yaml.safe_load(catalogue.read_text())


def require_known(shape: Mapping) -> None:
    """Refuse what stands for a shape that could not be looked up, with its reason under `unknown`.

    Raises:
        ValueError: It is none.
    """
    if "unknown" in shape:
        raise ValueError(shape["unknown"])


def look_up(repository: str, catalogue: Path) -> dict:
    """The shape of a repository's model, from a file of such facts.

    Raises:
        ValueError: The file does not have it.
    """
    known = read_catalogue(catalogue)
    if repository not in known:
        raise ValueError(
            f"the shape of {repository} is not known: known are {', '.join(sorted(known))}"
        )
    return derive_shape(known[repository])
