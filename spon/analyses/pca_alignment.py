"""Compare biases with the principal components of their sites' outputs, their mean, and chance."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spon import models
from spon.analyses.chance import cosine, cosine_quantile, max_cosines, share_reaching
from spon.analyses.runs import check_measured
from spon.sites import layer_of, map_of


def align_with_components(
    network: nn.Module,
    held_out: Int[Tensor, "blocks length"],
    prompts: Mapping[str, Int[Tensor, "1 length"]],
    learned: Mapping[str, Float[Tensor, "d_out"]],
    components: int,
    batch_tokens: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Return the cosines of every bias with the principal components of its site's dense outputs.

    In the definition `as_published`, the outputs are means over each prompt's tokens, so the
    components are those of a handful of points. In the definition `sound`, they are those of
    single tokens of held-out text; a block's first token, which attends to itself alone and often
    is an outlier, is left out.

    Args:
        network: The dense model.
        held_out: Evaluation blocks.
        prompts: Tokens of each prompt.
        learned: b by site.
        components: Principal components, at most.
        batch_tokens: Tokens per forward pass.
        draws: Random directions behind the null.
        seed: Of these directions.

    Returns:
        `definition, site, layer, map, samples, component, explained_variance_ratio, cosine,
        max_abs_cosine, best_component, null_mean, null_95, p_value, cosine_mean_output,
        cosine_null_95`, one row per site and component. The null is the largest |cosine| that a
        random direction has with as many orthogonal ones. `cosine_mean_output`, in sound rows
        alone, is that with the mean of the outputs, and `cosine_null_95` bounds 95 % of those of
        random directions.

    Raises:
        ValueError: Outputs are not finite, or do not vary at all.
    """
    outputs = {
        "as_published": read_outputs(network, list(prompts.values()), learned, pool=True),
        "sound": read_outputs(
            network, models.batches(held_out, batch_tokens), learned, pool=False
        ),
    }
    tables = []
    for definition, by_site in outputs.items():
        for site, bias in learned.items():
            vector = bias.double().cpu()
            table = align_site(site, vector, by_site[site], components, draws, seed)
            if definition == "sound":
                table = table.assign(**compare_with_mean(vector, by_site[site]))
            tables.append(table.assign(definition=definition))
    table = check_measured(pd.concat(tables, ignore_index=True), ["explained_variance_ratio"])
    return table[["definition", *table.columns.drop("definition")]]


def compare_with_mean(
    bias: Float[Tensor, "d_out"], outputs: Float[Tensor, "samples d_out"]
) -> dict[str, float]:
    """Return the cosine of a bias with the mean of its site's outputs, and that of chance."""
    mean = outputs.mean(dim=0, dtype=torch.float64)
    return {
        "cosine_mean_output": cosine(bias.numpy(), mean.numpy()),
        "cosine_null_95": cosine_quantile(len(bias), 0.95),
    }


def read_outputs(
    network: nn.Module, batches: Sequence[Int[Tensor, "_ length"]], sites: Mapping, pool: bool
) -> dict[str, Tensor]:
    """Return the outputs of the sites on the dense model's pass, one sample per row.

    A sample is the mean over a block if they are to be pooled, else a token, the first left out.
    """
    parts = {site: [] for site in sites}
    for batch in batches:
        for site, (_, output) in models.record(network, batch, sites).items():
            samples = output.double().mean(dim=1) if pool else output[:, 1:].flatten(0, 1)
            parts[site].append(samples.cpu())
    return {site: torch.cat(samples) for site, samples in parts.items()}


def align_site(
    site: str,
    bias: Float[Tensor, "d_out"],
    outputs: Float[Tensor, "samples d_out"],
    components: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Return the rows of one site."""
    shares, axes = find_components(outputs, components)
    cosines = (axes @ bias / bias.norm()).numpy()
    largest = float(np.abs(cosines).max())
    null = max_cosines(len(bias), len(cosines), draws, seed)
    names = {
        "site": site,
        "layer": layer_of(site),
        "map": map_of(site),
        "samples": len(outputs),
    }
    each = {
        "component": np.arange(len(cosines)) + 1,
        "explained_variance_ratio": shares.numpy(),
        "cosine": cosines,
    }
    best = {"max_abs_cosine": largest, "best_component": int(np.abs(cosines).argmax()) + 1}
    chance = {
        "null_mean": null.mean(),
        "null_95": np.quantile(null, 0.95),
        "p_value": share_reaching(null, largest),
    }
    return pd.DataFrame({**names, **each, **best, **chance})


def find_components(
    outputs: Float[Tensor, "samples d_out"], components: int
) -> tuple[Float[Tensor, "components"], Float[Tensor, "components d_out"]]:
    """Return shares of variance and unit axes of the first principal components; float64.

    The largest comes first. There are at most as many as dimensions, and at most one fewer than
    outputs, since these are centred.
    """
    centred = outputs.double() - outputs.mean(dim=0, dtype=torch.float64)
    count = min(components, len(outputs) - 1, outputs.shape[1])
    variances, axes = torch.linalg.eigh(centred.T @ centred / (len(outputs) - 1))
    shares = variances.flip(0) / variances.sum()
    return shares[:count], axes.flip(1).T[:count]
