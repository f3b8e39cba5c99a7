"""Whether runs learn the same biases where they share a site."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from spon import directions, stats
from spon.analyses.runs import Run
from spon.sites import describe_site

COLUMNS = [
    *[
        "comparison",
        "allocation",
        "sparsity",
        "seed",
        "reference",
        "reference_sparsity",
        "reference_seed",
    ],
    *["site", "layer", "map", "cosine", "l2_difference", "null_95"],
]


def describe_cross_configuration(runs: Sequence[Run]) -> pd.DataFrame:
    """Cosine and distance of two runs' biases, for all pairs of runs that differ in one thing.

    Args:
        runs: Biases of one model.

    Returns:
        One row per pair and shared site. `comparison` is what the two differ in: `allocation`,
        `seed` (how alike two trainings of the same run are, which no other pair can be asked to
        exceed) or `sparsity`. `null_95` is the |cosine| that 95 % of random directions stay under.
        A study of one run has no rows.
    """
    rows = []
    for pair in combinations(runs, 2):
        comparison = name_comparison(*pair)
        if comparison:
            rows += compare_runs(*order_pair(*pair), comparison)
    return pd.DataFrame(rows, columns=COLUMNS)


def name_comparison(first: Run, second: Run) -> str | None:
    """The one name in which two runs differ; none if they differ in more."""
    differing = [name for name, value in first.names.items() if second.names[name] != value]
    return differing[0] if len(differing) == 1 else None


def order_pair(first: Run, second: Run) -> tuple[Run, Run]:
    """A pair with its reference last: the run of most sites, else of the lowest sparsity, else of the lowest seed."""
    reference = min(first, second, key=lambda run: (-len(run.biases), run.sparsity, run.seed))
    return (first, second) if reference is second else (second, first)


def compare_runs(run: Run, reference: Run, comparison: str) -> list[dict]:
    """The rows of one pair: one per site at which both have a bias."""
    names = {"reference": reference.allocation, "reference_sparsity": reference.sparsity}
    pair = {"comparison": comparison} | run.names | names | {"reference_seed": reference.seed}
    rows = []
    for site in (site for site in run.biases if site in reference.biases):
        bias, other = run.biases[site], reference.biases[site]
        found = {
            "cosine": directions.cosine(bias, other),
            "l2_difference": float(np.linalg.norm(bias - other)),
            "null_95": directions.cosine_quantile(len(bias), stats.LEVEL),
        }
        rows.append(pair | describe_site(site) | found)
    return rows
