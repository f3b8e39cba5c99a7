"""Measure how far sparsification moves hidden states, and whether biases bring them back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models, sparsify, stats
from spon.analyses import chance
from spon.analyses.runs import check_measured
from spon.sites import layer_of, map_of, name_layer

# Of the 25.
PUBLISHED_PROMPTS = 15
PLACE = ["definition", "place", "positions", "site", "layer", "map", "biased", "samples"]
SHIFT = [
    "dense_norm",
    "teal_shift",
    "spon_shift",
    "recovery_percent",
    "recovery_low",
    "recovery_high",
    "p_value",
]
PREDICTION = [
    "predicted_spon_shift",
    "predicted_without_cross_term",
    "cosine_bias_mean_error",
    "cosine_null_95",
]


@dataclass(frozen=True)
class Setting:
    """A model, sparsified and biased at some sites."""

    network: nn.Module
    sparsifiers: Mapping[str, sparsify.Sparsifier]
    learned: Mapping[str, Float[Tensor, "d_out"]]


@dataclass
class Squares:
    """Mean squares over a block's tokens: of dense states, and of how far TEAL and SPON move them.

    Attributes:
        tokens: In each block.
    """

    dense: Float[np.ndarray, "blocks"]
    teal: Float[np.ndarray, "blocks"]
    spon: Float[np.ndarray, "blocks"]
    tokens: int


def measure_shifts(
    network: nn.Module,
    held_out: Int[Tensor, "blocks length"],
    prompts: Mapping[str, Int[Tensor, "1 length"]],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    learned: Mapping[str, Float[Tensor, "d_out"]],
    batch_tokens: int,
) -> pd.DataFrame:
    """Shifts from the dense model under TEAL and SPON, at the sites and in the residual stream.

    `site_same_input` gives the site the inputs of the dense pass: there the shift is that of e =
    W(x - S(x)) under TEAL and of e - b under SPON, so its mean square is E|e|^2 + |b|^2 - 2 b
    E[e], which is reported beside it, with and without the last term. `site` is the output inside
    the sparsified model, `residual` the stream behind a layer. A block's first token is counted
    apart.

    Args:
        network: The dense model.
        held_out: Evaluation blocks.
        prompts: Tokens of each prompt, for the published definition.
        sparsifiers: S by site, for all sites of the scope.
        learned: b by site.
        batch_tokens: Tokens per forward pass.

    Returns:
        One row per definition, place, positions and site or layer; columns as in `PLACE`, `SHIFT`,
        `PREDICTION`. Shifts are root mean squares over tokens; as published, they are means over
        prompts of the distance between means over tokens. Recovery is percent of TEAL's shift,
        below zero where SPON is farther from the dense model.

    Raises:
        ValueError: A shift is not finite.
    """
    setting = Setting(network, sparsifiers, learned)
    squares, errors = collect_squares(setting, held_out, batch_tokens)
    rows = []
    for key, means in (squares | sum_sites(squares, learned)).items():
        rows.append(describe_place(*key, means, setting) | predict(key, means, setting, errors))
    rows += list(describe_published(setting, list(prompts.values())[:PUBLISHED_PROMPTS]))
    table = pd.DataFrame(rows, columns=[*PLACE, *SHIFT, *PREDICTION])
    return check_measured(table, ["dense_norm", "teal_shift", "spon_shift"])


def collect_squares(
    setting: Setting, held_out: Int[Tensor, "blocks length"], batch_tokens: int
) -> tuple[dict[tuple, Squares], dict[str, Float[Tensor, "d_out"]]]:
    """Mean squares by place, positions and module, and every site's mean error.

    The error is over the positions behind the first.
    """
    parts: dict[tuple, list[Float[Tensor, "3 blocks"]]] = {}
    tokens = {"first": 1, "rest": held_out.shape[1] - 1}
    errors = {site: torch.zeros((), dtype=torch.float64) for site in setting.learned}
    for batch in models.batches(held_out, batch_tokens):
        for place, module, dense, teal, spon in pass_batch(setting, batch):
            if place == "site_same_input":
                errors[module] = (
                    errors[module]
                    + (dense - teal)[:, 1:].sum(dim=(0, 1), dtype=torch.float64).cpu()
                )
            squares = torch.stack(
                [x.double().square().sum(dim=-1) for x in (dense, teal - dense, spon - dense)]
            ).cpu()
            for positions, kept in (("first", squares[..., :1]), ("rest", squares[..., 1:])):
                parts.setdefault((place, positions, module), []).append(kept.mean(dim=-1))
    squares = {}
    for key, batches in parts.items():
        squares[key] = Squares(*torch.cat(batches, dim=1).numpy(), tokens[key[1]])
    return squares, {site: total / held_out[:, 1:].numel() for site, total in errors.items()}


def pass_batch(setting: Setting, batch: Int[Tensor, "blocks length"]) -> Iterator[tuple]:
    """Place, module and the dense, TEAL and SPON states there, for one batch."""
    network, sparsifiers, learned = setting.network, setting.sparsifiers, setting.learned
    layers = [name_layer(layer) for layer in range(models.count_layers(network))]
    modules = [*sparsifiers, *layers]
    dense = models.record(network, batch, modules)
    with sparsify.sparsified(network, sparsifiers):
        teal = models.record(network, batch, modules)
        with sparsify.biased(network, learned):
            spon = models.record(network, batch, modules)
    for module in modules:
        yield (
            "residual" if module in layers else "site",
            module,
            *(x[module].output for x in (dense, teal, spon)),
        )
    for site, bias in learned.items():
        x, output = dense[site]
        weight = models.read_parameter(network.get_submodule(site)).float()
        sparse = output - (x - sparsifiers[site](x)) @ weight.T
        yield "site_same_input", site, output, sparse, sparse + bias.to(sparse.device)


def sum_sites(
    squares: Mapping[tuple, Squares], learned: Mapping[str, Tensor]
) -> dict[tuple, Squares]:
    """Means over all sites with a bias of their mean squares, for each place at the sites."""
    summed = {}
    for place in ("site_same_input", "site"):
        of_sites = [squares[place, "rest", site] for site in learned]
        summed[place, "rest", "all"] = Squares(
            dense=np.mean([site.dense for site in of_sites], axis=0),
            teal=np.mean([site.teal for site in of_sites], axis=0),
            spon=np.mean([site.spon for site in of_sites], axis=0),
            tokens=of_sites[0].tokens,
        )
    return summed


def describe_place(
    place: str,
    positions: str,
    module: str,
    found: Squares,
    setting: Setting,
) -> dict:
    """Place and shift of one row; intervals where the positions are many."""
    dense, teal, spon = (np.sqrt(x.mean()) for x in (found.dense, found.teal, found.spon))
    bounds = bound_recovery(found) if positions == "rest" else stats.NOT_APPLICABLE
    shift = (dense, teal, spon, recover(teal, spon), bounds.low, bounds.high, bounds.p_value)
    return {
        "definition": "sound",
        **name_module(place, module, setting),
        "positions": positions,
        "samples": len(found.teal) * found.tokens,
        **dict(zip(SHIFT, shift, strict=True)),
    }


def name_module(place: str, module: str, setting: Setting) -> dict:
    """Where a row stands."""
    names = {
        "place": place,
        "site": "",
        "layer": None,
        "map": "",
        "biased": module in setting.learned,
    }
    if module == "all":
        return names | {"site": "all", "biased": True}
    if place == "residual":
        return names | {"layer": layer_of(module)}
    return names | {"site": module, "layer": layer_of(module), "map": map_of(module)}


def recover(teal: float, spon: float) -> float:
    """Percent of TEAL's shift that SPON takes away; nan where TEAL moves nothing."""
    return 100 * (teal - spon) / teal if teal > 0 else np.nan


def bound_recovery(found: Squares) -> stats.Estimate:
    """Interval of the recovery over blocks, and p-value of the difference of mean squares.

    The share of the shift that is left is the root of the ratio of mean squares, so the interval
    ends where that of the ratio does.
    """
    if not found.teal.any():
        return stats.NOT_APPLICABLE
    left = (stats.mean_quantity(found.spon) / stats.mean_quantity(found.teal)).interval()
    value, high, low = (
        100 * (1 - np.sqrt(max(ratio, 0))) for ratio in (left.value, left.low, left.high)
    )
    difference = stats.mean_interval(found.teal - found.spon)
    return stats.Estimate(value, low, high, difference.p_value)


def predict(
    place: tuple[str, str, str],
    found: Squares,
    setting: Setting,
    errors: Mapping[str, Float[Tensor, "d_out"]],
) -> dict:
    """SPON's shift as it must be for the dense input, and which way the bias points."""
    name, positions, site = place
    if name != "site_same_input" or positions != "rest" or site not in setting.learned:
        return {}
    bias, error = setting.learned[site].double().cpu(), errors[site]
    square = float(bias @ bias)
    without = found.teal.mean() + square
    return {
        "predicted_spon_shift": np.sqrt(max(without - 2 * float(bias @ error), 0)),
        "predicted_without_cross_term": np.sqrt(without),
        "cosine_bias_mean_error": float(bias @ error / (bias.norm() * error.norm())),
        "cosine_null_95": chance.cosine_quantile(len(bias), 0.95),
    }


def describe_published(setting: Setting, prompts: list[Int[Tensor, "1 length"]]) -> Iterator[dict]:
    """The published shifts: distances between means over a prompt's tokens, at biased sites."""
    distances = {site: [] for site in setting.learned}
    for prompt in prompts:
        for place, module, *states in pass_batch(setting, prompt):
            if place == "site" and module in distances:
                dense, teal, spon = (x.double().mean(dim=(0, 1)).cpu() for x in states)
                distances[module].append(
                    [x.norm().item() for x in (dense, teal - dense, spon - dense)]
                )
    means = {site: np.mean(found, axis=0) for site, found in distances.items()}
    means["all"] = np.mean(list(means.values()), axis=0)
    for site, (dense, teal, spon) in means.items():
        names = {"definition": "as_published", "positions": "prompt_mean", "samples": len(prompts)}
        shift = {
            "dense_norm": dense,
            "teal_shift": teal,
            "spon_shift": spon,
            "recovery_percent": recover(teal, spon),
        }
        yield name_module("site", site, setting) | names | shift
