"""Run the decoder layer by layer: from any layer on, compiled, or with checkpointing."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spon import models
from spon.sites import layer_of


def lowest_layer(sites: Iterable[str]) -> int:
    """Return the number of the lowest layer that holds one of these sites."""
    return min(map(layer_of, sites))


def states_before(
    network: nn.Module, blocks: Int[Tensor, "blocks length"], layer: int
) -> Float[Tensor, "blocks length *stream"]:
    """Return the residual stream that enters a layer; the layers from it on do not run."""
    layers, entering = network.get_decoder().layers, []
    skipped = dict.fromkeys(range(layer, len(layers)), pass_on)

    def keep(states: Tensor, *_, **__) -> Tensor:
        entering.append(states)
        return states

    with replaced(network, skipped | {layer: keep}):
        models.final_states(network, blocks)
    return entering[0]


def run_from(
    network: nn.Module,
    blocks: Int[Tensor, "blocks length"],
    states: Float[Tensor, "blocks length *stream"],
    layer: int,
) -> Float[Tensor, "blocks length d_model"]:
    """Return the hidden states after the last norm, given the residual stream into a layer.

    It is the model's own pass, in which the layers below give way to the stream. So masks, rotary
    tables and whatever else a layer is told are the model's own.
    """
    assert layer > 0, "the pass that begins at the first layer is the whole one"
    entering = states.to(network.device)
    skipped = dict.fromkeys(range(layer - 1), pass_on)
    with replaced(network, skipped | {layer - 1: lambda *_, **__: entering}):
        return models.final_states(network, blocks)


def pass_on(states: Tensor, *_, **__) -> Tensor:
    """Stand for a layer that changes nothing."""
    return states


@contextmanager
def replaced(network: nn.Module, forwards: Mapping[int, object]) -> Iterator[nn.Module]:
    """Let functions stand for the forward passes of some layers, by number, meanwhile."""
    layers = network.get_decoder().layers
    # Those of a model that is spread over devices, which move what they are given.
    own = {layer: layers[layer].__dict__.get("forward") for layer in forwards}
    try:
        for layer, forward in forwards.items():
            layers[layer].forward = forward
        yield network
    finally:
        for layer, forward in own.items():
            layers[layer].__dict__.pop("forward", None)
            if forward is not None:
                layers[layer].forward = forward


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
    A layer that is fetched runs again to its end, else its last weights would stay.
    """
    layers = network.get_decoder().layers if wanted else []
    try:
        for layer in layers:
            layer.training = layer.gradient_checkpointing = True
            layer._gradient_checkpointing_func = partial(
                checkpoint,
                use_reentrant=False,
                early_stop=not any(map(models.is_fetched, layer.modules())),
            )
        yield network
    finally:
        for layer in layers:
            layer.training = layer.gradient_checkpointing = False
