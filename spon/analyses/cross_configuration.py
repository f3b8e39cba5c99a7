"""Compare the biases of runs at the sites that they share."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from spon import stats
from spon.analyses import chance
from spon.analyses.runs import Run
from spon.sites import RUN, describe_site

COLUMNS = ["comparison", *RUN, "reference", "reference_sparsity", "reference_seed"]
COLUMNS += ["site", "layer", "map", "cosine", "l2_difference", "null_95"]


def describe_cross_configuration(runs: Sequence[Run]) -> pd.DataFrame:
    """Return cosine and distance of two runs' biases, for all pairs that differ in one thing.

    Args:
        runs: Biases of one model.

    Returns:
        One row per pair and shared site. `comparison` is what the two differ in: `allocation`,
        `sparsity`, or `seed`, which shows how alike two trainings are that differ in nothing else.
        `null_95` is the |cosine| that 95 % of random directions stay under. A study of one run has
        no rows.
    """
    rows = []
    for pair in combinations(runs, 2):
        comparison = name_comparison(*pair)
        if comparison:
            rows += compare_runs(*order_pair(*pair), comparison)
    return pd.DataFrame(rows, columns=COLUMNS)


def name_comparison(first: Run, second: Run) -> str | None:
    """Return what two runs differ in, `allocation`, `sparsity` or `seed`; None if in several."""
    differing = [name for name, value in first.names.items() if second.names[name] != value]
    return differing[0] if len(differing) == 1 else None


def order_pair(first: Run, second: Run) -> tuple[Run, Run]:
    """Return a pair with its reference last.

    The reference is the run with more sites; of as many, that of the lower sparsity, then seed.
    """
    reference = min(first, second, key=lambda run: (-len(run.biases), run.sparsity, run.seed))
    return (first, second) if reference is second else (second, first)


def compare_runs(run: Run, reference: Run, comparison: str) -> list[dict]:
    """Return the rows of one pair: one per site at which both have a bias."""
    names = {"reference": reference.allocation, "reference_sparsity": reference.sparsity}
    pair = {"comparison": comparison} | run.names | names | {"reference_seed": reference.seed}
    rows = []
    for site, bias in run.biases.items():
        if site not in reference.biases:
            continue
        reference_bias = reference.biases[site]
        measures = {
            "cosine": chance.cosine(bias, reference_bias),
            "l2_difference": float(np.linalg.norm(bias - reference_bias)),
            "null_95": chance.cosine_quantile(len(bias), stats.LEVEL),
        }
        rows.append(pair | describe_site(site) | measures)
    return rows
