"""How far runs are from the dense model: levels with the intervals of paired differences."""

import numpy as np
import pandas as pd

from spon.figures.style import KEYS, mark_single_seeds

DENSE, TEAL = "DENSE", "BASELINE-TEAL"
# By measure, the column of `perplexity.csv` that holds its level.
NATS = {"kl": "kl_nats_per_token", "nll": "nll_nats_per_token"}
BOUNDS = ["difference_nats_per_token", "low", "high"]


def measure_levels(
    perplexity: pd.DataFrame, contrasts: pd.DataFrame, measure: str
) -> pd.DataFrame:
    """Return the levels of TEAL and the runs in nats per token, with their intervals.

    Args:
        perplexity: `tables/perplexity.csv`.
        contrasts: `tables/contrasts.csv`.
        measure: `kl` or `nll`.

    Returns:
        `allocation, scope, sparsity, seed, level, low, high, single`; a mean over seeds, which has
        no seed, stands beside the seeds. See `pair_levels` for the interval.
    """
    runs = perplexity[perplexity["allocation"] != DENSE]
    runs = runs[[*KEYS, "seed"]].assign(level=runs[NATS[measure]])
    runs = add_means(runs, ["level"])
    pairs = pick_pairs(contrasts, measure)
    return mark_single_seeds(pair_levels(runs, pairs, [*KEYS, "seed"]))


def add_means(runs: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the runs followed by the means over the seeds of those that have several."""
    groups = runs[runs["seed"].notna()].groupby(KEYS, sort=False)
    means = groups[columns].mean()[groups.size() > 1].reset_index()
    if means.empty:
        return runs
    return pd.concat([runs, means.assign(seed=np.nan)], ignore_index=True)


def pick_pairs(contrasts: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the contrasts in a measure of the runs against TEAL and of TEAL against dense."""
    reference = np.where(contrasts["allocation"] == TEAL, DENSE, TEAL)
    wanted = (contrasts["reference"] == reference) & (contrasts["measure"] == measure)
    return contrasts.loc[wanted, [*KEYS, "seed", *BOUNDS]]


def pair_levels(runs: pd.DataFrame, pairs: pd.DataFrame, on: list[str]) -> pd.DataFrame:
    """Return the runs with `low` and `high`: the paired interval around the reference's level.

    A level's own interval is mostly the spread between blocks of text, which all runs share. The
    bounds are missing where a run has no contrast.

    Args:
        runs: Rows with a `level` in nats per token.
        pairs: See `pick_pairs`.
        on: The columns that name a run in both.
    """
    bounded = runs.merge(pairs[[*on, *BOUNDS]], on=on, how="left", validate="many_to_one")
    reference = bounded["level"] - bounded["difference_nats_per_token"]
    bounds = {end: reference + bounded[end] for end in ("low", "high")}
    return bounded.drop(columns=BOUNDS).assign(**bounds)
