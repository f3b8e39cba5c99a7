"""Compare what the study computes of a model with what transformers computes, before it is used.

A model is accepted by what it does, and not by its name: a pass that ends with our head, one that
begins in the middle, and hooks on the maps of every scope.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import layers, models
from spon.allocate import say_lacking
from spon.head import Head
from spon.inputs import source
from spon.sites import name_layer, name_site

# Of log-probabilities, in nats; in bfloat16, what transformers rounds its logits by.
TOLERANCE = 1e-4


def check_network(network: nn.Module, maps: Sequence[str], length: int) -> None:
    """Refuse a model that the study would not compute as transformers does.

    Args:
        network: The dense model.
        maps: The linear maps of all scopes.
        length: Tokens of a block.

    Raises:
        ValueError: Its layers or maps are not found where they are looked for, its weights or
            states are not finite, it looks ahead, or it predicts other tokens than transformers.
    """
    check_layers(network)
    check_length(network, length)
    check_weights(network)
    ids = choose_tokens(network, length)
    with torch.inference_mode():
        states = models.final_states(network, ids)
        models.check_finite(network, ids, states)
        check_maps(network, maps, ids)
        check_predictions(network, ids, states)
        check_order(network, ids, states)


def check_layers(network: nn.Module) -> None:
    """Refuse a model whose layers or head are not where they are looked for.

    Raises:
        ValueError: They are not.
    """
    inner = getattr(network.get_decoder(), "layers", None)
    named = dict(network.named_modules()).get("model.layers")
    if inner is None or named is not inner:
        raise ValueError(
            f"the layers of {type(network).__name__} are not named model.layers.N: allowed are "
            f"models that name them so, as Llama, Mistral and Qwen do"
        )
    head = network.get_output_embeddings()
    if type(head) is not nn.Linear:
        raise ValueError(
            f"the head of {type(network).__name__} is a {type(head).__name__}: allowed is Linear"
        )


def check_length(network: nn.Module, length: int) -> None:
    """Refuse blocks that are longer than the positions that a model knows.

    Raises:
        ValueError: They are.
    """
    positions = getattr(network.config, "max_position_embeddings", None)
    if positions and length > positions:
        raise ValueError(
            f"protocol.block_length is {length}, the model knows {positions} positions: allowed "
            f"is {positions} or less"
        )


def check_weights(network: nn.Module) -> None:
    """Refuse weights that are not finite.

    Raises:
        ValueError: Some are not; it names the first tensor.
    """
    for name, weight in network.named_parameters():
        if not weight.isfinite().all():
            count = int((~weight.isfinite()).sum())
            raise ValueError(
                f"the model's {name} has {count} entries that are not finite: the file is broken, "
                f"or was converted to a precision that cannot hold it"
            )


def choose_tokens(network: nn.Module, length: int) -> Int[Tensor, "2 length"]:
    """Return two blocks of tokens from all over the vocabulary; the last token alone differs."""
    vocabulary = network.config.vocab_size
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (1, length), generator=generator, dtype=torch.int32)
    blocks = ids.repeat(2, 1)
    blocks[1, -1] = (blocks[1, -1] + vocabulary // 2) % vocabulary
    return blocks


def list_maps(network: nn.Module) -> dict[str, dict]:
    """Return `maps` and `lacking` of a model's shape, as `source.read_shape` has them.

    A map is an `nn.Linear` that every layer has in the same size.
    """
    inside = [
        {
            name: list(module.weight.shape)
            for name, module in layer.named_modules()
            if is_plain(module)
        }
        for layer in network.get_decoder().layers
    ]
    return source.compare_layers(inside)


def is_plain(module: nn.Module) -> bool:
    """Return whether a module computes x W^T + b and nothing else."""
    return isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward


def check_maps(network: nn.Module, maps: Sequence[str], ids: Int[Tensor, "blocks length"]) -> None:
    """Refuse maps that a layer lacks, or that do not take every token once in a pass.

    Raises:
        ValueError: It names the first layer and the map.
    """
    has = list_maps(network)
    seen: dict[str, list[tuple]] = {}
    with ExitStack() as stack:
        for name in maps:
            if name not in has["maps"]:
                raise ValueError(say_lacking(name, has))
            for layer in range(len(network.get_decoder().layers)):
                site = name_site(layer, name)
                hook = network.get_submodule(site).register_forward_pre_hook(
                    lambda _, inputs, site=site: seen.setdefault(site, []).append(inputs[0].shape)
                )
                stack.callback(hook.remove)
        models.final_states(network, ids)
    for name in maps:
        expected = [(*ids.shape, has["maps"][name]["d_in"])]
        for layer in range(len(network.get_decoder().layers)):
            shapes = seen.get(name_site(layer, name), [])
            if shapes != expected:
                raise ValueError(
                    f"a scope names '{name}', which in {name_layer(layer)} does not take every "
                    f"token once in a pass, but {list(map(tuple, shapes)) or 'none'}: allowed are "
                    f"maps that do"
                )


def check_predictions(
    network: nn.Module,
    ids: Int[Tensor, "blocks length"],
    states: Float[Tensor, "blocks length d_model"],
) -> None:
    """Refuse a model whose log-probabilities are not those of transformers' own forward pass.

    Both from our final states, and from a pass that begins in the middle.

    Raises:
        ValueError: They differ.
    """
    logits = network(input_ids=ids.to(network.device).long(), use_cache=False).logits.float()
    theirs = torch.log_softmax(logits, dim=-1).flatten(0, 1)
    # A head that scales and caps rounds its logits up to three times, and their sum once more.
    rounding = 4 * torch.finfo(network.dtype).eps * logits.abs().max().item()
    tolerance, head = max(TOLERANCE, rounding), Head(network)
    middle = len(network.get_decoder().layers) // 2
    passes = {"whole": states}
    if middle:
        passes["begun in the middle"] = run_in_two(network, ids, middle)
    for name, final in passes.items():
        ours = head.log_probabilities(final.flatten(0, 1))
        difference = (ours - theirs).abs().max().item()
        if not difference <= tolerance:
            raise ValueError(
                f"the predictions of {type(network).__name__} differ from those of transformers' "
                f"own pass by {difference:.2g} nats ({name}): this kind of model is not supported"
            )


def run_in_two(
    network: nn.Module, ids: Int[Tensor, "blocks length"], layer: int
) -> Float[Tensor, "blocks length d_model"]:
    """Return the final states of a pass that is interrupted before a layer.

    Raises:
        ValueError: It cannot be, since layers take or return more than the residual stream.
    """
    try:
        before = layers.states_before(network, ids, layer)
        states = layers.run_from(network, ids, before, layer)
        if states.shape[:2] != ids.shape:
            raise ValueError(f"the states have the shape {tuple(states.shape)}")
        return states
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"a pass of {type(network).__name__} cannot begin in the middle, since its layers "
            f"take or return more than the residual stream: this kind of model is not supported"
        ) from error


def check_order(
    network: nn.Module,
    ids: Int[Tensor, "2 length"],
    states: Float[Tensor, "2 length d_model"],
) -> None:
    """Refuse a model that looks ahead: whose states depend on tokens that come after.

    Raises:
        ValueError: It does.
    """
    first, second = states[:, :-1].float()
    scale = first.abs().max().item()
    rounding = 100 * torch.finfo(network.dtype).eps * scale
    if not (first - second).abs().max().item() <= rounding:
        raise ValueError(
            f"{type(network).__name__} sees the tokens that it predicts: allowed are models that "
            f"look back alone"
        )


def describe_shape(shape: Mapping, network: nn.Module) -> dict:
    """Return a model's shape with the maps that the loaded model has."""
    return {**shape, **list_maps(network)}
