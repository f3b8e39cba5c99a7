"""Does what sparsification changes depend on the kind of text, and do the states keep their geometry?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.stats import t
from torch import Tensor, nn

from spon import directions, models, sparsify
from spon.sites import describe_site

# Groups of neighbouring blocks, each left out once for the interval of CKA.
GROUPS = 16
COLUMNS = [
    "definition",
    "category",
    "site",
    "layer",
    "map",
    "samples",
    "l2_shift",
    "relative_shift",
]
COLUMNS += [
    "cka",
    "cka_low",
    "cka_high",
    "cka_permuted",
    "cka_noised",
    "category_share",
    "category_p",
]
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
    """Shift and CKA between the dense and the sparsified and biased model's site outputs, by category of text.

    As published, each prompt is the mean over its tokens, and linear CKA is taken over the handful
    of prompts of a category, where it is near 1 whatever the states are. The sound ones are of
    single tokens, the first left out, with the debiased CKA. Two controls stand beside every CKA:
    of dense states with the other states' samples in random order, and of dense states with
    themselves moved as far as the shift is, in a random direction per sample.

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
        sound rows, `prompts` stands for all prompts: `category_share` is the share of the variance
        of prompts' shifts that lies between categories, `category_p` the share of permutations
        that reach it. The interval of CKA is by the jackknife over groups of held-out blocks.
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
        found = [states[site] for states in texts.values()]
        rows += describe_prompts(site, found, categories, draws, seed)
        rows.append(describe_held_out(site, blocks[site], pseudo_values[site], seed))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    averages = average_sites(
        frame, texts, np.mean(list(pseudo_values.values()), axis=0), categories, draws, seed
    )
    return pd.concat([frame, averages], ignore_index=True)


def read_states(
    network: nn.Module,
    batches: Sequence[Int[Tensor, "_ length"]],
    sparsifiers: Mapping[str, sparsify.Sparsifier],
    learned: Mapping[str, Float[Tensor, "d_out"]],
) -> dict[
    str, tuple[Float[Tensor, "samples length d_out"], Float[Tensor, "samples length d_out"]]
]:
    """Outputs of the sites with a bias, in the dense and in the sparsified and biased model; float32."""
    parts = {site: ([], []) for site in learned}
    for batch in batches:
        dense = models.record(network, batch, learned)
        with sparsify.sparsified(network, sparsifiers), sparsify.biased(network, learned):
            spon = models.record(network, batch, learned)
        for site, (one, other) in parts.items():
            one.append(dense[site].output.cpu())
            other.append(spon[site].output.cpu())
    return {site: (torch.cat(one), torch.cat(other)) for site, (one, other) in parts.items()}


def describe_prompts(
    site: str,
    states: Sequence[tuple[Tensor, Tensor]],
    categories: Sequence[str],
    draws: int,
    seed: int,
) -> list[dict]:
    """The rows of one site for every category, in both definitions, and for all prompts."""
    rows = []
    for category in [*dict.fromkeys(categories), "prompts"]:
        chosen = [
            pair
            for pair, name in zip(states, categories, strict=True)
            if category in (name, "prompts")
        ]
        pooled = tuple(
            torch.cat([x.double().mean(dim=1) for x in side]) for side in zip(*chosen, strict=True)
        )
        tokens = tuple(
            torch.cat([x[:, 1:].flatten(0, 1) for x in side]) for side in zip(*chosen, strict=True)
        )
        rows.append(
            describe("as_published", category, site) | compare_states(pooled, linear_cka, seed)
        )
        rows.append(describe("sound", category, site) | compare_states(tokens, debiased_cka, seed))
    share, p_value = permute_categories(
        [mean_shift(pair) for pair in states], categories, draws, seed
    )
    return [*rows[:-1], rows[-1] | {"category_share": share, "category_p": p_value}]


def describe_held_out(
    site: str, states: tuple[Tensor, Tensor], pseudo_values: Float[np.ndarray, "groups"], seed: int
) -> dict:
    """The row of one site for held-out text."""
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
    """The rows over all sites: means, with the tests made on means over sites."""
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
    """Where a row stands."""
    return {"definition": definition, "category": category, **describe_site(site)}


def compare_states(states: States, cka: Callable[[Tensor, Tensor], float], seed: int) -> dict:
    """Shift and CKA of two sets of states, and the CKA of its two controls."""
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
        "cka": cka(dense, spon),
        "cka_permuted": cka(dense, spon[order]),
        "cka_noised": cka(dense, noised),
    }


def linear_cka(
    one: Float[Tensor, "samples d_one"], other: Float[Tensor, "samples d_other"]
) -> float:
    """Linear CKA as published (Kornblith et al. 2019): biased towards 1 where samples are few and dimensions many."""
    one, other = (x - x.mean(dim=0) for x in (one, other))
    cross = (one.T @ other).square().sum()
    return (cross / ((one.T @ one).norm() * (other.T @ other).norm())).item()


def debiased_cka(
    one: Float[Tensor, "samples d_one"], other: Float[Tensor, "samples d_other"]
) -> float:
    """Linear CKA with the unbiased estimator of HSIC: 0 on average for independent states.

    Needs 4 or more samples; nan where one of the sets does not vary.
    """
    return divide_hsic(*add_up(one, other))


@dataclass(frozen=True)
class Sums:
    """What the unbiased HSIC of two linear kernels needs to know of its samples: sums, so that groups add up.

    Attributes:
        count: Samples.
        one: Sum of the features x; `other` of the features y.
        cross: Sum of x y^T.
        squares: Sums of |x|^2, of |y|^2 and of their product.
        one_weighted: Sum of x |y|^2; `other_weighted` of y |x|^2.
    """

    count: Tensor
    one: Float[Tensor, "d_one"]
    other: Float[Tensor, "d_other"]
    cross: Float[Tensor, "d_one d_other"]
    squares: Float[Tensor, "3"]
    one_weighted: Float[Tensor, "d_one"]
    other_weighted: Float[Tensor, "d_other"]

    def __sub__(self, part: "Sums") -> "Sums":
        """The sums without some of the samples."""
        return Sums(
            *(getattr(self, name.name) - getattr(part, name.name) for name in fields(self))
        )


def take_sums(
    one: Float[Tensor, "samples d_one"], other: Float[Tensor, "samples d_other"]
) -> Sums:
    """The sums over some samples."""
    squares = [x.square().sum(dim=1) for x in (one, other)]
    products = torch.stack([squares[0].sum(), squares[1].sum(), squares[0] @ squares[1]])
    count = torch.tensor(float(len(one)), dtype=torch.float64)
    return Sums(
        count,
        one.sum(0),
        other.sum(0),
        one.T @ other,
        products,
        squares[1] @ one,
        squares[0] @ other,
    )


def add_up(
    one: Float[Tensor, "samples d_one"], other: Float[Tensor, "samples d_other"]
) -> tuple[Sums, Sums, Sums]:
    """The sums of both sets together and of each with itself. Kernels are centred, so where zero is does not matter."""
    one, other = (x.double() - x.mean(dim=0, dtype=torch.float64) for x in (one, other))
    return take_sums(one, other), take_sums(one, one), take_sums(other, other)


def divide_hsic(both: Sums, one: Sums, other: Sums) -> float:
    """CKA: the HSIC of two sets over the geometric mean of each one's with itself."""
    own = unbiased_hsic(one) * unbiased_hsic(other)
    return unbiased_hsic(both) / own**0.5 if own > 0 else float("nan")


def unbiased_hsic(sums: Sums) -> float:
    """Unbiased HSIC of two linear kernels (Song et al. 2012, equation 5), without a matrix of samples by samples.

    With K and L the kernels with zeros on their diagonals, it is tr(KL) + sum(K) sum(L) /
    ((n-1)(n-2)) - 2 sum(KL) / (n-2), over n(n-3). A row of K sums to x s - |x|^2, where s is the
    sum of all x.
    """
    count = sums.count
    assert count > 3, f"HSIC needs 4 or more samples, got {count}"
    one_squares, other_squares, product = sums.squares
    trace = sums.cross.square().sum() - product
    totals = (sums.one @ sums.one - one_squares) * (sums.other @ sums.other - other_squares)
    rows = (
        sums.one @ sums.cross @ sums.other
        - sums.one @ sums.one_weighted
        - sums.other @ sums.other_weighted
        + product
    )
    centred = trace + totals / ((count - 1) * (count - 2)) - 2 * rows / (count - 2)
    return (centred / (count * (count - 3))).item()


def jackknife(
    states: tuple[Float[Tensor, "blocks length d_out"], Tensor],
) -> Float[np.ndarray, "groups"]:
    """Pseudo-values of the debiased CKA, each of which leaves out one of several groups of neighbouring blocks."""
    one, other = (x[:, 1:].double() for x in states)
    one, other = (x - x.mean(dim=(0, 1)) for x in (one, other))
    parts = [
        [
            take_sums(a.flatten(0, 1), b.flatten(0, 1))
            for a, b in zip(x.tensor_split(GROUPS), y.tensor_split(GROUPS), strict=True)
        ]
        for x, y in ((one, other), (one, one), (other, other))
    ]
    whole = [
        take_sums(x.flatten(0, 1), y.flatten(0, 1))
        for x, y in ((one, other), (one, one), (other, other))
    ]
    without = np.array(
        [
            divide_hsic(*(all_ - part for all_, part in zip(whole, group, strict=True)))
            for group in zip(*parts, strict=True)
        ]
    )
    return GROUPS * divide_hsic(*whole) - (GROUPS - 1) * without


def interval_around(
    value: float, pseudo_values: Float[np.ndarray, "groups"]
) -> tuple[float, float]:
    """95 % t-interval of a value by the spread of its pseudo-values."""
    groups = len(pseudo_values)
    half = t.ppf(0.975, groups - 1) * pseudo_values.std(ddof=1) / np.sqrt(groups)
    return value - float(half), value + float(half)


def mean_shift(states: tuple[Tensor, Tensor]) -> float:
    """Mean over a prompt's tokens, the first left out, of how far they are moved."""
    dense, spon = (x[:, 1:].double() for x in states)
    return (spon - dense).norm(dim=-1).mean().item()


def permute_categories(
    shifts: Sequence[float], categories: Sequence[str], draws: int, seed: int
) -> tuple[float, float]:
    """The share of the variance of shifts between categories (eta squared), and its p-value by permutation."""
    values, names = np.array(shifts), np.array(categories)
    members = np.stack([names == name for name in dict.fromkeys(categories)]).astype(float)
    shuffled = np.random.default_rng(seed).permuted(np.tile(values, (draws, 1)), axis=1)
    means = np.vstack([values, shuffled]) @ members.T / members.sum(axis=1)
    between = (members.sum(axis=1) * (means - values.mean()) ** 2).sum(axis=1)
    shares = between / ((values - values.mean()) ** 2).sum()
    return float(shares[0]), directions.share_reaching(shares[1:], shares[0] - 1e-12)
