"""Figure of confidence beside repair: what one temperature wins back, and what biases do."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spon.figures.levels import DENSE, NATS, TEAL, add_means
from spon.figures.outcomes import list_names, make_columns
from spon.figures.style import (
    BESIDE,
    KEYS,
    MAIN,
    add_run_legend,
    explain,
    mark_single_seeds,
    plot_run,
    printed,
    style_of,
)

# By measure, the column of `perplexity.csv` that holds its recovery.
RECOVERIES = {
    "nll": "recovery_nll_percent",
    "own": "recovery_own_temperature_percent",
    "kl": "recovery_kl_percent",
}
TITLES = {"nll": "Log-likelihood", "kl": "KL divergence from the dense model"}
TEMPERATURE = "temperature alone"


@printed()
def plot_confidence(perplexity: pd.DataFrame, controls: pd.DataFrame) -> Figure:
    """Plot figure 8: how much of what TEAL loses a single temperature wins back, and biases.

    A temperature changes how confident a model is, and nothing else. So what biases win back in
    log-likelihood is plotted twice: as it is, and with every model, the dense one and TEAL too, at
    the temperature that suits it best; what is left is not confidence. In KL the models are as
    they are.

    Args:
        perplexity: `tables/perplexity.csv`.
        controls: `tables/controls.csv`. Of a scope in which it compares trained biases with
            untrained ones, these are plotted; of another scope all runs are.
    """
    learned = perplexity[~perplexity["allocation"].isin([DENSE, TEAL])]
    runs = learned[[*KEYS, "seed"]].assign(
        **{name: learned[column] for name, column in RECOVERIES.items()}
    )
    runs = add_means(choose_runs(runs, controls), list(RECOVERIES))
    runs = mark_single_seeds(pd.concat([warm_teal(perplexity, controls), runs]))
    names = list_names(runs)
    rows = [(scope, name) for scope in names for name in ["", *names[scope]]]
    figure, blocks = make_columns(rows, sorted(runs["sparsity"].unique()), TITLES)
    for measure, panels in blocks.items():
        for sparsity, ax in panels.items():
            for run in runs[runs["sparsity"] == sparsity].itertuples():
                plot_gain(ax, rows.index((run.scope, run.allocation)), run, measure)
        share_window(list(panels.values()))
    handles = [
        explain("every model as it is", **MAIN),
        explain("every model at its own temperature", mfc="white"),
    ]
    add_run_legend(figure, handles, runs)
    return figure


def choose_runs(runs: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that are compared with one another, and all runs of the other scopes."""
    pairs = controls[~controls["reference"].isin([DENSE, TEAL])]
    compared = runs["allocation"].isin([*pairs["allocation"], *pairs["reference"]])
    return runs[compared | ~runs["scope"].isin(pairs["scope"])]


def warm_teal(perplexity: pd.DataFrame, controls: pd.DataFrame) -> pd.DataFrame:
    """Return what TEAL at its own temperature wins back, by scope and sparsity.

    At its own temperature it wins back nothing more. Its gain in KL is known where there is a
    control of it.
    """
    dense = perplexity.set_index("allocation").loc[DENSE, NATS["nll"]]
    teal = perplexity[perplexity["allocation"] == TEAL]
    warm = controls[(controls["control"] == "temperature") & (controls["measure"] == "kl")]
    warm = warm.drop_duplicates(["scope", "sparsity"])
    gains = warm[["scope", "sparsity", "control_gain_nats_per_token"]]
    teal = teal.merge(gains, on=["scope", "sparsity"], how="left")
    nll, kl = teal[NATS["nll"]], teal[NATS["kl"]]
    return pd.DataFrame(
        {
            "allocation": TEMPERATURE,
            "scope": teal["scope"],
            "sparsity": teal["sparsity"],
            "seed": np.nan,
            "nll": 100 * (nll - teal["nll_at_temperature"]) / (nll - dense),
            "own": 0.0,
            "kl": 100 * teal["control_gain_nats_per_token"] / kl,
        }
    )


def plot_gain(ax: Axes, row: int, run: Any, measure: str) -> None:
    """Plot what one run wins back; in log-likelihood at its own temperature too, hollow."""
    run = run._replace(allocation=TEAL) if run.allocation == TEMPERATURE else run
    if measure == "nll" and not run.single:
        colour = style_of(run.allocation).colour
        ax.plot((run.own, run.nll), (row, row), color=colour, lw=0.7, gid="confidence")
        plot_run(ax, run.own, row, run, face="white")
    plot_run(ax, getattr(run, measure), row + BESIDE * run.single, run)


def share_window(panels: list[Axes]) -> None:
    """Give panels the same limits of x, and say what it is."""
    low = min(ax.get_xlim()[0] for ax in panels)
    high = max(ax.get_xlim()[1] for ax in panels)
    for ax in panels:
        ax.set(xlim=(low, high), xlabel="of TEAL's loss won back (%)")
