"""Run the decoder layer by layer: from any layer on, compiled, or with checkpointing."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spon.sites import layer_of


def lowest_layer(sites: Iterable[str]) -> int:
    """Return the number of the lowest layer that holds one of these sites."""
    return min(map(layer_of, sites))


def can_begin_inside(network: nn.Module, length: int) -> bool:
    """Return whether `run_from` computes what the whole model computes on blocks of this length.

    It does if every layer attends to all tokens before, as `run_layers` does, and by SDPA.
    """
    config = network.config
    window = getattr(config, "sliding_window", None)
    attends_to_all = (
        window is None or length <= window or not getattr(config, "use_sliding_window", True)
    )
    return attends_to_all and config._attn_implementation == "sdpa"


def states_before(
    network: nn.Module, blocks: Int[Tensor, "blocks length"], layer: int
) -> Float[Tensor, "blocks length d_model"]:
    """Return the residual stream that enters a layer."""
    decoder = network.get_decoder()
    states = decoder.embed_tokens(blocks.to(network.device, torch.long))
    return run_layers(network, states, decoder.layers[:layer])


def run_from(
    network: nn.Module, states: Float[Tensor, "blocks length d_model"], layer: int
) -> Float[Tensor, "blocks length d_model"]:
    """Return the hidden states after the last norm, given the residual stream into a layer."""
    decoder = network.get_decoder()
    return decoder.norm(run_layers(network, states.to(network.device), decoder.layers[layer:]))


def run_layers(
    network: nn.Module, states: Float[Tensor, "blocks length d_model"], layers: Iterable[nn.Module]
) -> Float[Tensor, "blocks length d_model"]:
    """Return the residual stream behind some layers that are run one after the other.

    They get no mask, since SDPA without one is causal.
    """
    positions = torch.arange(states.shape[1], device=states.device)[None]
    rotary = network.get_decoder().rotary_emb(states, position_ids=positions)
    for layer in layers:
        states = layer(
            states, attention_mask=None, position_ids=positions, position_embeddings=rotary
        )
    return states


@contextmanager
def compiled(network: nn.Module, first: int, wanted: bool) -> Iterator[nn.Module]:
    """Compile the layers from `first` on, if `wanted`, for as long as the context lasts.

    Each layer is compiled by itself, in some seconds. It cannot use the code of another one, since
    the thresholds of its sites are constants in the code; so the limit of versions is raised.
    """
    layers = network.get_decoder().layers[first:] if wanted else []
    try:
        limit = 64 * len(layers)
        patch = torch._dynamo.config.patch(recompile_limit=limit) if wanted else nullcontext()
        with patch:
            for layer in layers:
                layer.compile(dynamic=False)
            yield network
    finally:
        for layer in layers:
            layer._compiled_call_impl = None


@contextmanager
def checkpointed(network: nn.Module, wanted: bool) -> Iterator[nn.Module]:
    """Let layers compute their activations again in the backward pass instead of keeping them.

    Nothing changes unless it is `wanted`. transformers checkpoints only layers in training mode,
    so the layers are set to it; what is inside them, dropout too, stays in evaluation mode.
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
