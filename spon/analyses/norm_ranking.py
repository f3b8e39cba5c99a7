"""How the sizes of biases go with depth, and how much of that is the edge of an allocation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from spon import stats
from spon.analyses.runs import Run
from spon.sites import describe_site

COLUMNS = [
    *[
        "allocation",
        "sparsity",
        "seed",
        "site",
        "layer",
        "map",
        "l2_norm",
        "rank",
        "boundary",
        "norm_over_widest",
    ],
    *["widest", "spearman_rho", "spearman_p", "spearman_rho_inside", "spearman_p_inside"],
]


def describe_norm_ranking(runs: Sequence[Run], layers: int) -> pd.DataFrame:
    """Norms of every run's biases, ranked, beside the widest allocation's, and with depth.

    Args:
        runs: Learned biases of one model; of equally wide allocations the first is the widest.
        layers: Layers of the model, which tell where an allocation ends before the model does.

    Returns:
        One row per run and site. `rank` 1 is the largest norm of the run. `boundary` marks a site
        of which a neighbouring layer of the model has no bias at the same map. `norm_over_widest`
        is the ratio of norms at the site to the run that has a bias at most sites, among those of
        the same sparsity, seed and maps (`widest`); nan at the widest itself and where it has no
        bias. `inside` leaves the boundary out.

    Raises:
        ValueError: A bias belongs to a layer that the model does not have.
    """
    return pd.concat(
        [rank_run(run, find_widest(run, runs), layers) for run in runs], ignore_index=True
    )[COLUMNS]


def rank_run(run: Run, widest: Run, layers: int) -> pd.DataFrame:
    """The rows of one run."""
    table = pd.DataFrame([run.names | describe_site(site) for site in run.biases])
    check_layers(run, int(table["layer"].max()), layers)
    table["l2_norm"] = [float(np.linalg.norm(bias)) for bias in run.biases.values()]
    table["rank"] = table["l2_norm"].rank(ascending=False, method="min").astype(int)
    table["boundary"] = mark_boundary(table, layers)
    reference = {} if widest is run else widest.biases
    table["norm_over_widest"] = table["l2_norm"] / [
        float(np.linalg.norm(reference.get(s, np.nan))) for s in run.biases
    ]
    table["widest"] = widest.allocation
    for name, group in table.groupby("map"):
        here, inside = table["map"] == name, group[~group["boundary"]]
        table.loc[here, ["spearman_rho", "spearman_p"]] = correlate(group)
        table.loc[here, ["spearman_rho_inside", "spearman_p_inside"]] = correlate(inside)
    return table


def find_widest(run: Run, runs: Sequence[Run]) -> Run:
    """The run with most sites among those of the same sparsity, seed and maps."""
    alike = [
        other
        for other in runs
        if (other.sparsity, other.seed, other.maps) == (run.sparsity, run.seed, run.maps)
    ]
    return max(alike, key=lambda other: len(other.biases))


def mark_boundary(table: pd.DataFrame, layers: int) -> list[bool]:
    """Whether a neighbouring layer of the model has no bias at the same map."""
    # ASSUME: at the same map, since a bias at another one does other work; the catalogue's
    # allocations leave no difference, for they bias all of their maps in all of their layers.
    biased = set(zip(table["layer"], table["map"], strict=True))
    return [
        any((near, name) not in biased for near in (layer - 1, layer + 1) if 0 <= near < layers)
        for layer, name in zip(table["layer"], table["map"], strict=True)
    ]


def correlate(table: pd.DataFrame) -> tuple[float, float]:
    """Spearman's rho of norm and layer, and its p-value; nan if there is none."""
    norms, layers = table["l2_norm"].to_numpy(float), table["layer"].to_numpy(float)
    return stats.rank_correlation(norms, layers) or (np.nan, np.nan)


def check_layers(run: Run, last: int, layers: int) -> None:
    """Refuse biases of layers that the model does not have."""
    if last >= layers:
        raise ValueError(
            f"layers is {layers}, but {run.allocation} has a bias in layer {last}: "
            f"allowed is {last + 1} or more"
        )
