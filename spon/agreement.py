"""Compare what the study computes of a model with what transformers computes, before it is used.

A model is accepted by what it does, and not by its name: a pass that ends with our head, passes
that begin at any layer, and hooks on the maps of every layer.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import layers, models
from spon.head import Head
from spon.inputs.shape import compare_layers
from spon.sites import name_site, name_sites

# Tokens of the blocks that are compared: few, so that all their logits fit into memory.
LENGTH = 64
# Of log-probabilities, in nats, where nothing but float32 rounds.
TOLERANCE = 1e-4
# Of states, relative to a token's norm; of a lower precision, some of its roundings.
STATES_TOLERANCE, ROUNDINGS = 1e-5, 8


def check_network(network: nn.Module, shape: Mapping) -> dict:
    """Refuse a model that the study would not compute as transformers does.

    Args:
        network: The dense model.
        shape: As its files say.

    Returns:
        The shape, with `maps` and `lacking` as the model has them. A map that does not take every
        token once in a pass is no map; it stands among the lacking ones.

    Raises:
        ValueError: Its layers or maps are not found where they are looked for, its weights or
            states are not finite, it looks ahead, or it predicts other tokens than transformers.
    """
    check_layers(network)
    check_weights(network)
    ids = choose_tokens(network, min(LENGTH, shape["positions"] or LENGTH))
    with passes_of(network), torch.inference_mode():
        states = models.final_states(network, ids)
        models.check_finite(network, ids, states)
        check_predictions(network, ids, states)
        check_order(network, states)
        check_beginnings(network, ids, states)
        maps = find_maps(network, ids)
    if not maps["maps"]:
        raise ValueError(
            f"{type(network).__name__} has no linear map that every layer has alike: allowed are "
            f"models that have one"
        )
    return {**shape, **maps}


@contextmanager
def passes_of(network: nn.Module) -> Iterator[None]:
    """Turn whatever a model's own pass raises into one sentence.

    Raises:
        ValueError: A pass failed.
    """
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise not_supported(f"a pass of {type(network).__name__} fails ({cause[:200]})") from error


def not_supported(what: str) -> ValueError:
    """Return the error of a model that does something else than the study needs."""
    return ValueError(f"{what}: this kind of model is not supported")


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


def check_weights(network: nn.Module) -> None:
    """Refuse weights that are not finite.

    Raises:
        ValueError: Some are not; it names the first tensor.
    """
    for name, _ in network.named_parameters():
        module, _, own = name.rpartition(".")
        weight = models.read_parameter(network.get_submodule(module), own)
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


def check_predictions(
    network: nn.Module,
    ids: Int[Tensor, "blocks length"],
    states: Float[Tensor, "blocks length d_model"],
) -> None:
    """Refuse a model whose log-probabilities are not those of transformers' own forward pass.

    Raises:
        ValueError: They differ.
    """
    logits = network(input_ids=ids.to(network.device).long(), use_cache=False).logits.float()
    theirs = torch.log_softmax(logits, dim=-1).flatten(0, 1)
    difference = (Head(network).log_probabilities(states.flatten(0, 1)) - theirs).abs()
    # In a lower precision transformers rounds logits, those that it scales and caps several times.
    # On average, the roundings of a prediction and of the sum over all are smaller by far.
    rounding, size = torch.finfo(network.dtype).eps, logits.abs()
    largest = max(TOLERANCE, 4 * rounding * size.max().item())
    usual = max(TOLERANCE, rounding * size.mean().item())
    if not (difference.max().item() <= largest and difference.mean().item() <= usual):
        raise not_supported(
            f"the predictions of {type(network).__name__} differ from those of transformers' own "
            f"pass by up to {difference.max().item():.2g} nats"
        )


def check_order(network: nn.Module, states: Float[Tensor, "2 length d_model"]) -> None:
    """Refuse a model that looks ahead: whose states depend on tokens that come after.

    Args:
        states: Of two blocks whose last token alone differs.

    Raises:
        ValueError: They do.
    """
    if not are_alike(*states[:, None, :-1]):
        raise ValueError(
            f"{type(network).__name__} sees the tokens that it predicts: allowed are models that "
            f"look back alone"
        )


def check_beginnings(
    network: nn.Module,
    ids: Int[Tensor, "blocks length"],
    states: Float[Tensor, "blocks length d_model"],
) -> None:
    """Refuse a model whose pass cannot be begun at each of its layers.

    Raises:
        ValueError: It cannot be, since layers take or return more than the residual stream.
    """
    for layer in range(1, models.count_layers(network)):
        error = None
        try:
            entering = layers.states_before(network, ids, layer)
            final = layers.run_from(network, ids, entering, layer)
            is_same = final.shape == states.shape and are_alike(final, states)
        except Exception as mistake:  # of any kind, by the model's own code
            error, is_same = mistake, False
        if not is_same:
            raise not_supported(
                f"a pass of {type(network).__name__} cannot begin at layer {layer}, since its "
                f"layers take or return more than the residual stream"
            ) from error


def are_alike(
    first: Float[Tensor, "blocks length d_model"], second: Float[Tensor, "blocks length d_model"]
) -> bool:
    """Return whether states are the same up to rounding, token by token."""
    tolerance = max(STATES_TOLERANCE, ROUNDINGS * torch.finfo(first.dtype).eps)
    differences = (first.float() - second.float()).norm(dim=-1)
    return bool((differences <= tolerance * first.float().norm(dim=-1)).all())


def find_maps(network: nn.Module, ids: Int[Tensor, "blocks length"]) -> dict[str, dict]:
    """Return `maps` and `lacking` of a model's shape, as `read_shape` has them.

    A map is an `nn.Linear` that every layer has in the same size, and that takes every token once
    in a pass.
    """
    inside = [
        {
            name: list(module.weight.shape)
            for name, module in layer.named_modules()
            if is_plain(module)
        }
        for layer in network.get_decoder().layers
    ]
    found = compare_layers(inside)
    taken = watch_shapes(network, found["maps"], ids)
    for name, size in list(found["maps"].items()):
        expected = [(*ids.shape, size["d_in"])]
        for layer in range(len(inside)):
            if taken[name_site(layer, name)] != expected:
                found["lacking"][name] = layer
                del found["maps"][name]
                break
    return found


def is_plain(module: nn.Module) -> bool:
    """Return whether a module computes x W^T + b and nothing else."""
    return isinstance(module, nn.Linear) and type(module).forward is nn.Linear.forward


def watch_shapes(
    network: nn.Module, maps: Mapping[str, Mapping], ids: Int[Tensor, "blocks length"]
) -> dict[str, list[tuple[int, ...]]]:
    """Return the shapes of the inputs that every site of some maps takes in one pass."""
    sites = name_sites(models.count_layers(network), maps)
    shapes: dict[str, list[tuple[int, ...]]] = {site: [] for site in sites}
    with ExitStack() as stack:
        for site in sites:
            hook = network.get_submodule(site).register_forward_pre_hook(
                lambda _, inputs, site=site: shapes[site].append(
                    tuple(inputs[0].shape) if inputs else ()
                )
            )
            stack.callback(hook.remove)
        models.final_states(network, ids)
    return shapes
