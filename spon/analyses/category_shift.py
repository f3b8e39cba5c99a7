"""Measure how sparsification moves sites' outputs in each category of text: shift and CKA."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.stats import t
from torch import Tensor, nn

from spon import models, sparsify
from spon.analyses import chance
from spon.analyses.runs import check_measured
from spon.sites import describe_site

# Groups of neighbouring blocks, each of which is left out once for the interval of CKA.
GROUPS = 16
COLUMNS = ["definition", "category", "site", "layer", "map"]
COLUMNS += ["samples", "l2_shift", "relative_shift"]
COLUMNS += ["cka", "cka_low", "cka_high", "cka_permuted", "cka_noised"]
COLUMNS += ["category_share", "category_p"]
# With the states themselves, and with the two controls.
CKA = ("cka", "cka_permuted", "cka_noised")
# Dense states and those of the sparsified and biased model; one sample per row.
States = tuple[Float[Tensor, "samples d_out"], Float[Tensor, "samples d_out"]]


def compare_categories(
    network: nn.Module,
    held_out: Int[Tensor, "blocks length"],
    prompts: Mapping[str, Int[Tensor, "1 length"]],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    learned: Mapping[str, Float[Tensor, "d_out"]],
    batch_tokens: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Return shift and CKA between the outputs of a site in two models, by category of text.

    The models are the dense and the sparsified and biased one. In the definition `as_published`,
    each prompt is the mean over its tokens, and linear CKA is taken over the handful of prompts of
    a category, where it is near 1 whatever the states are. In the definition `sound`, samples are
    single tokens, the first one left out, and CKA is debiased. Every CKA has two controls: that of
    dense states with the other states in random order, and that of dense states with themselves,
    each moved as far as it shifts, in a random direction.

    Args:
        network: The dense model.
        held_out: Evaluation blocks, the category `held_out`.
        prompts: Tokens of each prompt, named `00.category`.
        sparsifiers: S by site, for all sites of the scope.
        learned: b by site.
        batch_tokens: Tokens per forward pass.
        draws: Permutations of prompts over categories.
        seed: Of permutations and noise.

    Returns:
        One row per definition, category and site; `site` is `all` for means over sites. Of the
        sound rows, those of the category `prompts` are of all prompts. They alone have
        `category_share`, the share of the variance of prompts' shifts that lies between
        categories, and `category_p`, the share of permutations that reach it. Those of `held_out`
        alone have an interval of CKA, by the jackknife over groups of blocks.

    Raises:
        ValueError: A shift is not finite.
    """
    texts = {
        name: read_states(network, [tokens], sparsifiers, learned)
        for name, tokens in prompts.items()
    }
    blocks = read_states(network, models.batches(held_out, batch_tokens), sparsifiers, learned)
    categories = [name.split(".")[1] for name in prompts]
    pseudo_values = {site: jackknife(states) for site, states in blocks.items()}
    rows = []
    for site in learned:
        prompt_states = [states[site] for states in texts.values()]
        rows += describe_prompts(site, prompt_states, categories, draws, seed)
        rows.append(describe_held_out(site, blocks[site], pseudo_values[site], seed))
    table = pd.DataFrame(rows, columns=COLUMNS)
    mean_values = np.mean(list(pseudo_values.values()), axis=0)
    averages = average_sites(table, texts, mean_values, categories, draws, seed)
    return check_measured(pd.concat([table, averages], ignore_index=True), ["l2_shift"])


def read_states(
    network: nn.Module,
    batches: Sequence[Int[Tensor, "_ length"]],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    learned: Mapping[str, Float[Tensor, "d_out"]],
) -> dict[
    str, tuple[Float[Tensor, "samples length d_out"], Float[Tensor, "samples length d_out"]]
]:
    """Return the outputs of the sites with a bias, float32, as pairs by site.

    The first of a pair is of the dense model, the second of the sparsified and biased one.
    """
    parts = {site: ([], []) for site in learned}
    for batch in batches:
        dense = models.record(network, batch, learned)
        with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, learned):
            spon = models.record(network, batch, learned)
        for site, (dense_parts, spon_parts) in parts.items():
            dense_parts.append(dense[site].output.cpu())
            spon_parts.append(spon[site].output.cpu())
    return {
        site: (torch.cat(dense_parts), torch.cat(spon_parts))
        for site, (dense_parts, spon_parts) in parts.items()
    }


def describe_prompts(
    site: str,
    states: Sequence[tuple[Tensor, Tensor]],
    categories: Sequence[str],
    draws: int,
    seed: int,
) -> list[dict]:
    """Return the rows of one site for every category and for all prompts, in both definitions.

    Args:
        states: Dense states and the others of each prompt.
        categories: The category of each prompt.
    """
    rows = []
    for category in [*dict.fromkeys(categories), "prompts"]:
        members = [
            pair
            for pair, name in zip(states, categories, strict=True)
            if category in (name, "prompts")
        ]
        sides = list(zip(*members, strict=True))
        means = tuple(torch.cat([x.double().mean(dim=1) for x in side]) for side in sides)
        tokens = tuple(torch.cat([x[:, 1:].flatten(0, 1) for x in side]) for side in sides)
        rows.append(
            describe("as_published", category, site) | compare_states(means, linear_cka, seed)
        )
        rows.append(describe("sound", category, site) | compare_states(tokens, debiased_cka, seed))
    shifts = [mean_shift(pair) for pair in states]
    share, p_value = permute_categories(shifts, categories, draws, seed)
    return [*rows[:-1], rows[-1] | {"category_share": share, "category_p": p_value}]


def describe_held_out(
    site: str, states: tuple[Tensor, Tensor], pseudo_values: Float[np.ndarray, "groups"], seed: int
) -> dict:
    """Return the row of one site for held-out text."""
    tokens = tuple(x[:, 1:].flatten(0, 1) for x in states)
    row = describe("sound", "held_out", site) | compare_states(tokens, debiased_cka, seed)
    low, high = interval_around(row["cka"], pseudo_values)
    return row | {"cka_low": low, "cka_high": high}


def average_sites(
    frame: pd.DataFrame,
    texts: Mapping,
    pseudo_values: Float[np.ndarray, "groups"],
    categories: Sequence[str],
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Return the rows over all sites: means over sites, with tests and intervals of their own.

    The test is made on the mean shift of each prompt, the interval on mean pseudo-values.
    """
    measured = ["samples", "l2_shift", "relative_shift", "cka", "cka_permuted", "cka_noised"]
    means = (
        frame.groupby(["definition", "category"], sort=False)[measured]
        .mean()
        .reset_index()
        .assign(site="all")
    )
    shifts = [
        float(np.mean([mean_shift(pair) for pair in states.values()])) for states in texts.values()
    ]
    prompts = (means["definition"] == "sound") & (means["category"] == "prompts")
    means.loc[prompts, ["category_share", "category_p"]] = permute_categories(
        shifts, categories, draws, seed
    )
    held_out = means["category"] == "held_out"
    means.loc[held_out, ["cka_low", "cka_high"]] = interval_around(
        means.loc[held_out, "cka"].item(), pseudo_values
    )
    return means.reindex(columns=COLUMNS)


def describe(definition: str, category: str, site: str) -> dict:
    """Return the columns that name a row."""
    return {"definition": definition, "category": category, **describe_site(site)}


def compare_states(states: States, cka: Callable[..., list[float]], seed: int) -> dict:
    """Return the shift between two sets of states, their CKA, and the CKA of the two controls."""
    dense, spon = (x.double() for x in states)
    lengths = (spon - dense).norm(dim=1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(dense), generator=generator)
    noise = torch.randn(dense.shape, generator=generator, dtype=torch.float64)
    noised = dense + noise * (lengths / noise.norm(dim=1))[:, None]
    return {
        "samples": len(dense),
        "l2_shift": lengths.mean().item(),
        "relative_shift": (lengths.mean() / dense.norm(dim=1).mean()).item(),
        **dict(zip(CKA, cka(dense, spon, spon[order], noised), strict=True)),
    }


def linear_cka(
    x: Float[Tensor, "samples d_x"], *others: Float[Tensor, "samples d_y"]
) -> list[float]:
    """Return linear CKA of `x` with each of the others, as published (Kornblith et al. 2019).

    It is biased towards 1 where samples are few and dimensions many.
    """
    x, *others = (states - states.mean(dim=0) for states in (x, *others))
    own = (x.T @ x).norm()
    crosses = [(x.T @ y).square().sum() / (own * (y.T @ y).norm()) for y in others]
    return [cross.item() for cross in crosses]


def debiased_cka(
    x: Float[Tensor, "samples d_x"], *others: Float[Tensor, "samples d_y"]
) -> list[float]:
    """Return linear CKA of `x` with each of the others, by the unbiased estimator of HSIC.

    It is 0 on average for independent states. Needs 4 or more samples; NaN where one of the sets
    does not vary.
    """
    # HSIC does not depend on where zero is, and the sums of centred states are rounded less.
    x, *others = (
        states.double() - states.mean(dim=0, dtype=torch.float64) for states in (x, *others)
    )
    own = take_sums(x, x)
    return [divide_hsic(take_sums(x, y), own, take_sums(y, y)) for y in others]


@dataclass(frozen=True)
class Sums:
    """The sums over samples (x, y) from which the unbiased HSIC of two linear kernels is computed.

    The sums of groups of samples add up to those of all samples.

    Attributes:
        count: Samples.
        x: Sum of the features x.
        y: Sum of the features y.
        cross: Sum of x y^T.
        squares: Sums of |x|^2, of |y|^2 and of their product.
        x_weighted: Sum of x |y|^2.
        y_weighted: Sum of y |x|^2.
    """

    count: Tensor
    x: Float[Tensor, "d_x"]
    y: Float[Tensor, "d_y"]
    cross: Float[Tensor, "d_x d_y"]
    squares: Float[Tensor, "3"]
    x_weighted: Float[Tensor, "d_x"]
    y_weighted: Float[Tensor, "d_y"]

    def __add__(self, part: "Sums") -> "Sums":
        """Return the sums with the samples of `part` too."""
        names = [field.name for field in fields(self)]
        return Sums(*(getattr(self, name) + getattr(part, name) for name in names))

    def __sub__(self, part: "Sums") -> "Sums":
        """Return the sums without the samples of `part`."""
        names = [field.name for field in fields(self)]
        return Sums(*(getattr(self, name) - getattr(part, name) for name in names))


def take_sums(x: Float[Tensor, "samples d_x"], y: Float[Tensor, "samples d_y"]) -> Sums:
    """Return the sums over samples."""
    x_squares, y_squares = (states.square().sum(dim=1) for states in (x, y))
    return Sums(
        count=torch.tensor(float(len(x)), dtype=torch.float64),
        x=x.sum(0),
        y=y.sum(0),
        cross=x.T @ y,
        squares=torch.stack([x_squares.sum(), y_squares.sum(), x_squares @ y_squares]),
        x_weighted=y_squares @ x,
        y_weighted=x_squares @ y,
    )


def divide_hsic(both: Sums, x: Sums, y: Sums) -> float:
    """Return CKA: the HSIC of x with y over the geometric mean of those of each with itself."""
    own = unbiased_hsic(x) * unbiased_hsic(y)
    return unbiased_hsic(both) / own**0.5 if own > 0 else float("nan")


def unbiased_hsic(sums: Sums) -> float:
    """Return the unbiased HSIC of two linear kernels (Song et al. 2012, equation 5).

    With K and L the kernels with zeros on their diagonals, it is tr(KL) + sum(K) sum(L) /
    ((n-1)(n-2)) - 2 sum(KL) / (n-2), over n(n-3). No matrix of samples by samples is needed, since
    a row of K sums to x s - |x|^2, where s is the sum of all x.
    """
    count = sums.count
    assert count > 3, f"HSIC needs 4 or more samples, got {count}"
    x_squares, y_squares, product = sums.squares
    trace = sums.cross.square().sum() - product
    totals = (sums.x @ sums.x - x_squares) * (sums.y @ sums.y - y_squares)
    rows = (
        sums.x @ sums.cross @ sums.y
        - sums.x @ sums.x_weighted
        - sums.y @ sums.y_weighted
        + product
    )
    centred = trace + totals / ((count - 1) * (count - 2)) - 2 * rows / (count - 2)
    return (centred / (count * (count - 3))).item()


def jackknife(
    states: tuple[Float[Tensor, "blocks length d_out"], Tensor],
) -> Float[np.ndarray, "groups"]:
    """Return pseudo-values of the debiased CKA, one per group of neighbouring blocks.

    Each leaves out one of the groups.
    """
    x, y = (side[:, 1:].double() for side in states)
    x, y = (side - side.mean(dim=(0, 1)) for side in (x, y))
    groups = []
    for parts in zip(x.tensor_split(GROUPS), y.tensor_split(GROUPS), strict=True):
        x_group, y_group = (part.flatten(0, 1) for part in parts)
        pairs = ((x_group, y_group), (x_group, x_group), (y_group, y_group))
        groups.append([take_sums(*pair) for pair in pairs])
    whole = [reduce(operator.add, sums) for sums in zip(*groups, strict=True)]
    without = [
        divide_hsic(*(sums - part for sums, part in zip(whole, group, strict=True)))
        for group in groups
    ]
    return GROUPS * divide_hsic(*whole) - (GROUPS - 1) * np.array(without)


def interval_around(
    value: float, pseudo_values: Float[np.ndarray, "groups"]
) -> tuple[float, float]:
    """Return the 95 % t-interval around a value, by the spread of its pseudo-values."""
    groups = len(pseudo_values)
    half = t.ppf(0.975, groups - 1) * pseudo_values.std(ddof=1) / np.sqrt(groups)
    return value - float(half), value + float(half)


def mean_shift(states: tuple[Tensor, Tensor]) -> float:
    """Return how far a prompt's tokens, without the first, are moved on average."""
    dense, spon = (x[:, 1:].double() for x in states)
    return (spon - dense).norm(dim=-1).mean().item()


def permute_categories(
    shifts: Sequence[float], categories: Sequence[str], draws: int, seed: int
) -> tuple[float, float]:
    """Return the share of the variance of shifts between categories, and its p-value.

    The share is eta squared, the p-value is by permutation of prompts over categories.
    """
    values, names = np.array(shifts), np.array(categories)
    members = np.stack([names == name for name in dict.fromkeys(categories)]).astype(float)
    shuffled = np.random.default_rng(seed).permuted(np.tile(values, (draws, 1)), axis=1)
    means = np.vstack([values, shuffled]) @ members.T / members.sum(axis=1)
    between = (members.sum(axis=1) * (means - values.mean()) ** 2).sum(axis=1)
    shares = between / ((values - values.mean()) ** 2).sum()
    # Less a trifle, so that a permutation with the same share reaches it in spite of rounding.
    return float(shares[0]), chance.share_reaching(shares[1:], shares[0] - 1e-12)
