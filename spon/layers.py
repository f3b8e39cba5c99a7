"""The decoder layer by layer: a pass that begins in its middle, and one whose activations are computed twice."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spon.sites import layer_of


def lowest_layer(sites: Iterable[str]) -> int:
    """The first layer that holds one of these sites."""
    return min(map(layer_of, sites))


def can_begin_inside(network: nn.Module, length: int) -> bool:
    """Whether `run_from` gives what the whole model gives: every layer attends to all tokens before, by SDPA."""
    config = network.config
    window = getattr(config, "sliding_window", None)
    attends_to_all = (
        window is None or length <= window or not getattr(config, "use_sliding_window", True)
    )
    return attends_to_all and config._attn_implementation == "sdpa"


def states_before(
    network: nn.Module, blocks: Int[Tensor, "blocks length"], layer: int
) -> Float[Tensor, "blocks length d_model"]:
    """The residual stream that enters a layer."""
    decoder = network.get_decoder()
    states = decoder.embed_tokens(blocks.to(network.device, torch.long))
    return run_layers(network, states, decoder.layers[:layer])


def run_from(
    network: nn.Module, states: Float[Tensor, "blocks length d_model"], layer: int
) -> Float[Tensor, "blocks length d_model"]:
    """Hidden states after the last norm, from the residual stream that enters a layer."""
    decoder = network.get_decoder()
    return decoder.norm(run_layers(network, states.to(network.device), decoder.layers[layer:]))


def run_layers(
    network: nn.Module, states: Float[Tensor, "blocks length d_model"], layers: Iterable[nn.Module]
) -> Float[Tensor, "blocks length d_model"]:
    """The residual stream behind some layers, one after the other. Without a mask, SDPA is causal."""
    positions = torch.arange(states.shape[1], device=states.device)[None]
    rotary = network.get_decoder().rotary_emb(states, position_ids=positions)
    for layer in layers:
        states = layer(
            states, attention_mask=None, position_ids=positions, position_embeddings=rotary
        )
    return states


@contextmanager
def compiled(network: nn.Module, first: int, wanted: bool) -> Iterator[nn.Module]:
    """The model with its layers from `first` on compiled, each by itself, if wanted: seconds per layer, once.

    Sites have thresholds of their own, which are part of the code, so every layer is a version of
    its own.
    """
    layers = network.get_decoder().layers[first:] if wanted else []
    try:
        with (
            torch._dynamo.config.patch(recompile_limit=64 * len(layers))
            if wanted
            else nullcontext()
        ):
            for layer in layers:
                layer.compile(dynamic=False)
            yield network
    finally:
        for layer in layers:
            layer._compiled_call_impl = None


@contextmanager
def checkpointed(network: nn.Module, wanted: bool) -> Iterator[nn.Module]:
    """The model with nothing kept inside its layers for the way back: each is computed again there, if wanted.

    The layers alone are told that they train; what is inside of them, dropout too, is not.
    """
    layers = network.get_decoder().layers if wanted else []
    try:
        for layer in layers:
            layer.training = layer.gradient_checkpointing = True
            layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
        yield network
    finally:
        for layer in layers:
            layer.training = layer.gradient_checkpointing = False
