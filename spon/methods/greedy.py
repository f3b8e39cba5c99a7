"""The sparsities of a block's maps by TEAL's block-wise greedy optimisation.

Liu et al., 2024, arXiv:2408.14690, block-wise greedy optimisation. Maps of a block differ in how
much their inputs can be sparsified, so they share the block's sparsity unevenly. The sparsifier is
that of the method `threshold`.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models, sparsify
from spon.inputs.tokens import take_even
from spon.sites import layer_of

# ASSUME: steps of 1 % of a block's weights, since of small models a larger one takes a small map,
# such as that of keys, whole at once. Errors on 2,048 tokens of calibration text tell maps apart.
STEP = 0.01
TOKENS = 2048


class Call(NamedTuple):
    """What a decoder layer was given on some blocks of text, and what it gave."""

    given: tuple
    others: dict
    output: Float[Tensor, "blocks length d_model"]


def allocate_thresholds(
    network: nn.Module,
    tokens: Int[Tensor, "blocks length"],
    quantiles: pd.DataFrame,
    sparsity: float,
    batch_tokens: int,
    dense_share: float,
) -> dict[str, float]:
    """Return the thresholds of a scope's sites, whose sparsities are raised one at a time.

    Args:
        network: The dense model.
        tokens: Blocks of calibration text, some of which are used, evenly spaced.
        quantiles: Of the scope, as `calibrate.read_quantiles` returns them.
        sparsity: Of the weights of the scope's sites in a block.
        batch_tokens: Tokens per forward pass.
        dense_share: Share of every sequence that stays dense.
    """
    curves = read_curves(quantiles)
    calls = record_calls(network, tokens, batch_tokens)
    layers: dict[int, list[str]] = {}
    for site in curves:
        layers.setdefault(layer_of(site), []).append(site)
    chosen: dict[str, float] = {}
    for layer, sites in sorted(layers.items()):

        def measure(sparsities: Mapping[str, float], layer: int = layer) -> float:
            thresholds = choose_thresholds(curves, sparsities)
            return measure_error(network, calls[layer], layer, thresholds, dense_share)

        weights = {site: network.get_submodule(site).weight.numel() for site in sites}
        chosen |= choose_thresholds(curves, raise_sparsities(weights, sparsity, measure))
    return {site: chosen[site] for site in curves}


def raise_sparsities(
    weights: Mapping[str, int], target: float, measure: Callable[[Mapping[str, float]], float]
) -> dict[str, float]:
    """Return sparsities of maps, raised one at a time where that adds least error.

    A step sets equally many of the block's weights aside, whichever map takes it, so that of a
    small map more of its inputs.

    Args:
        weights: How many each map has.
        target: Their share that meets a zero, above 0 and below 1.
        measure: The error of the block's output at some sparsities.

    Raises:
        ValueError: No map has room for another step.
    """
    steps = math.ceil(round(target / STEP, 9))
    total = sum(weights.values())
    taken = dict.fromkeys(weights, 0)

    def share(taken: Mapping[str, int]) -> dict[str, float]:
        shares = {name: target * (taken[name] / steps) * (total / weights[name]) for name in taken}
        # What fits exactly may be more than 1 by its last digit.
        return {name: min(one, 1.0) if one < 1 + 1e-9 else one for name, one in shares.items()}

    for _ in range(steps):
        further = [taken | {name: taken[name] + 1} for name in weights]
        allowed = [one for one in further if max(share(one).values()) <= 1]
        if not allowed:
            raise ValueError(
                f"sparsity {target} leaves no map of a block room for another step of {STEP}: "
                f"allowed with the method greedy is less"
            )
        taken = min(allowed, key=lambda one: measure(share(one)))
    return share(taken)


def read_curves(quantiles: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return shares and magnitudes by site, in the order of the table."""
    return {
        site: (rows["share"].to_numpy(), rows["magnitude"].to_numpy())
        for site, rows in quantiles.groupby("site", sort=False)
    }


def choose_thresholds(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], sparsities: Mapping[str, float]
) -> dict[str, float]:
    """Return the threshold of every site at a sparsity of its own; 0 where nothing is dropped."""
    return {
        site: float(np.interp(sparsity, *curves[site])) if sparsity else 0.0
        for site, sparsity in sparsities.items()
    }


def record_calls(
    network: nn.Module, tokens: Int[Tensor, "blocks length"], batch_tokens: int
) -> list[list[Call]]:
    """Return what every decoder layer of the dense model was given and gave, batch by batch."""
    layers = network.get_decoder().layers
    calls: list[list[Call]] = [[] for _ in layers]

    def see(number: int) -> Callable:
        def keep(_, given: tuple, others: dict, output: object) -> None:
            calls[number].append(Call(given, others, first_of(output)))

        return keep

    chosen = take_even(tokens, min(len(tokens), max(1, TOKENS // tokens.shape[1])))
    with ExitStack() as stack, torch.inference_mode():
        for number, layer in enumerate(layers):
            stack.callback(layer.register_forward_hook(see(number), with_kwargs=True).remove)
        for batch in models.batches(chosen, batch_tokens):
            models.final_states(network, batch)
    return calls


def measure_error(
    network: nn.Module,
    calls: list[Call],
    layer: int,
    thresholds: Mapping[str, float],
    dense_share: float,
) -> float:
    """Return how far a block's output moves if some of its sites are sparsified: an L2 norm."""
    block, squares = network.get_decoder().layers[layer], 0.0
    made = sparsify.make_sparsifiers(
        network, thresholds, "threshold", sparsity=0.0, dense_share=dense_share
    )
    with sparsify.sparsified(network, made), torch.inference_mode():
        for call in calls:
            moved = first_of(block(*call.given, **call.others)).float() - call.output.float()
            squares += float(moved.double().square().sum())
    return math.sqrt(squares)


def first_of(output: object) -> Tensor:
    """Return the states that a layer gives, by themselves or first of several."""
    return output[0] if isinstance(output, tuple) else output
