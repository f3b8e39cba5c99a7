"""Fold biases into a model: an ordinary checkpoint that transformers loads without our code.

A bias is a parameter of an ordinary `nn.Linear`, if the model's class has a place for it. Where
its own has none, the Llama class may compute the same. Neither is assumed: transformers is asked
for the names of both, and what was written is read again and compared before it is kept.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spon.biases import SUFFIX

# Entries of a config that give linear maps a bias, as transformers' models call them.
SWITCHES = ("mlp_bias", "attention_bias", "use_bias", "add_bias_linear")
# Of a model's config, these are Llama's own.
OF_CLASS = {"model_type", "architectures", "transformers_version", "dtype", "_name_or_path"}
OF_CLASS |= set(SWITCHES)
KEY = "spon"  # of a config.json, where it says what is folded in
OFFER = (
    "`spon export --beside` writes biases beside the model instead, and spon.attach(model, DIR) "
    "puts them in at run time"
)


def fold(
    network: nn.Module, biases: Mapping[str, Float[Tensor, "d_out"]]
) -> tuple[object, dict[str, Tensor]]:
    """Return the config and the weights of a model with biases folded in.

    Args:
        network: The dense model.
        biases: By site; a bias that the model has already is added.

    Returns:
        The config, of the model's own class or of Llama's, and all tensors by name, of the
        network's precision: zeros where the class has a place for a bias and none was learned.

    Raises:
        ValueError: Neither class has a place for every bias.
    """
    weights = list_weights(network)
    wanted = {site + SUFFIX for site in biases}
    for config in list_configs(network.config):
        names = name_parameters(config)
        added = names.keys() - weights.keys()
        if wanted | weights.keys() <= names.keys() and all(map(is_bias, added)):
            zeros = {name: torch.zeros(names[name], dtype=network.dtype) for name in added}
            return config, {**weights, **zeros, **sum_biases(network, biases)}
    everywhere = switch_on(network.config, list_switches(network.config))
    homeless = sorted(wanted - name_parameters(everywhere).keys())
    raise ValueError(
        f"{type(network).__name__} has no place for {homeless[0]}, nor is it a Llama in other "
        f"words: {OFFER}"
        if homeless
        else f"{type(network).__name__} has no config with just these biases: {OFFER}"
    )


def list_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return a model's tensors by name, as a file has them: one of those that are tied."""
    tied = getattr(network, "all_tied_weights_keys", None) or {}
    return {name: tensor for name, tensor in network.state_dict().items() if name not in tied}


def sum_biases(
    network: nn.Module, biases: Mapping[str, Float[Tensor, "d_out"]]
) -> dict[str, Tensor]:
    """Return the biases by the name of their parameter, with what the model has there already."""
    sums = {}
    for site, bias in biases.items():
        own = network.get_submodule(site).bias
        total = bias.float() if own is None else bias.float() + own.float().cpu()
        sums[site + SUFFIX] = total.to(network.dtype)
    return sums


def list_configs(config: object) -> Iterator[object]:
    """Yield configs that may have a place for biases: own class first, fewest biases first."""
    from transformers import LlamaConfig

    own, llama = config.to_dict(), LlamaConfig().to_dict()
    as_llama = {name: own[name] for name in llama if name in own and name not in OF_CLASS}
    for start in (config, LlamaConfig(**as_llama, architectures=["LlamaForCausalLM"])):
        off = list_switches(start)  # what the model has stays
        for count in range(len(off) + 1):
            for names in combinations(off, count):
                yield limit_positions(switch_on(start, names), config)


def list_switches(config: object) -> list[str]:
    """Return the entries of a config that would give a model biases and do not."""
    return [name for name in SWITCHES if not getattr(config, name, True)]


def switch_on(config: object, names: Iterable[str]) -> object:
    """Return a copy of a config with these switches on."""
    changed = copy.deepcopy(config)
    for name in names:
        setattr(changed, name, True)
    return changed


def limit_positions(config: object, original: object) -> object:
    """Return a config of another class without positions beyond the original's sliding window.

    Up to there, attention with a window and without are the same.
    """
    window = getattr(original, "sliding_window", None)
    if type(config) is not type(original) and window:
        config.max_position_embeddings = min(window, config.max_position_embeddings)
    return config


def name_parameters(config: object) -> dict[str, torch.Size]:
    """Return the shapes of a class's tensors by name, as a file has them; nothing is computed."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    return {name: tensor.shape for name, tensor in list_weights(network).items()}


def is_bias(name: str) -> bool:
    """Return whether a tensor is a bias, by its name."""
    return name.endswith(SUFFIX)
