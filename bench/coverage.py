"""How often the intervals of `spon.stats` hold the truth, on simulated blocks whose neighbours are
correlated.

Run from the repository: `python -m bench.coverage [BLOCKS ...]`; writes coverage.csv and
coverage.png beside itself.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.signal import lfilter
from statsmodels.stats.sandwich_covariance import S_hac_simple

from spon import stats

CORRELATIONS = (0.0, 0.3, 0.6)
BAND = (93.5, 96.5)  # percent: what the project accepts at a nominal 95 %
# Means in units of their standard errors: two gains, and the damage that both are a share of,
# eight errors from zero, so recoveries of 50 and 25 %.
MEANS = np.array([4.0, 2.0, 8.0])
SHARED = np.array([[0.8, 0.0, 0.6], [0.0, 0.8, 0.6], [0.0, 0.0, 1.0]])
# How far trainings differ, in standard errors of a mean over blocks.
SPREADS = {"three_trainings": 1.0, "three_trainings_apart": 5.0}
LOOKS = {
    "mean": {"label": "mean", "marker": "o", "color": "#1a1a1a", "ls": "-"},
    "ratio": {"label": "ratio (Fieller)", "marker": "s", "color": "#0069a8", "ls": "--"},
    "difference_of_ratios": {
        "label": "difference of ratios (linearised)",
        "marker": "^",
        "color": "#009e73",
        "ls": "-.",
    },
    "three_trainings": {
        "label": "mean over 3 trainings, spread 1 error",
        "marker": "v",
        "color": "#cc79a7",
        "ls": "-",
    },
    "three_trainings_apart": {
        "label": "mean over 3 trainings, spread 5 errors",
        "marker": "D",
        "color": "#e69f00",
        "ls": "--",
    },
    "newey_west": {
        "label": "mean by plain Newey-West, 1.96",
        "marker": "x",
        "color": "#d55e00",
        "ls": ":",
    },
}


def simulate(
    blocks: int, correlation: float, samples: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Simulate samples [3, blocks] of related AR(1) series: two gains and the damage.

    They are in units of the true standard errors of their means.
    """
    start = 100  # blocks that are left out, as the series starts from zero
    error = 1 / (1 - correlation) / np.sqrt(blocks)
    for _ in range(samples):
        noise = SHARED @ rng.standard_normal((3, start + blocks))
        series = lfilter([1.0], [1.0, -correlation], noise, axis=1)[:, start:]
        yield series / error + MEANS[:, None]


def find_hits(sample: np.ndarray, rng: np.random.Generator) -> dict[str, bool]:
    """Say of each interval of one sample whether it holds the truth."""
    first, second, damage = (stats.mean_quantity(series) for series in sample)
    recoveries = first / damage, second / damage
    truths = MEANS[:2] / MEANS[2]
    averages = {}
    for name, spread in SPREADS.items():
        trainings = [sample[0] + luck for luck in rng.normal(0, spread, 3)]
        averages[name] = stats.average([stats.mean_quantity(series) for series in trainings])
    return {
        "mean": holds(first, MEANS[0]),
        "ratio": holds(recoveries[0], truths[0]),
        "difference_of_ratios": holds(recoveries[0] - recoveries[1], truths[0] - truths[1]),
        **{name: holds(average, MEANS[0]) for name, average in averages.items()},
        "newey_west": abs(first.value - MEANS[0]) <= 1.96 * newey_west_error(sample[0]),
    }


def holds(quantity: stats.Quantity, truth: float) -> bool:
    """Whether the interval of a quantity holds its true value."""
    interval = quantity.interval()
    return bool(interval.low <= truth <= interval.high)


def newey_west_error(values: np.ndarray) -> float:
    """Return the Newey-West standard error of a mean, with the usual number of lags."""
    lags = int(4 * (len(values) / 100) ** (2 / 9))
    variance = S_hac_simple((values - values.mean())[:, None], nlags=lags).item()
    return float(np.sqrt(variance) / len(values))


def measure_coverage(sizes: list[int], samples: int) -> pd.DataFrame:
    """Measure the share of samples whose interval holds the truth.

    Returns:
        `blocks, correlation, interval, samples, coverage_percent`.
    """
    rng = np.random.default_rng(0)
    rows = []
    for blocks in sizes:
        for correlation in CORRELATIONS:
            simulated = simulate(blocks, correlation, samples, rng)
            hits = pd.DataFrame([find_hits(sample, rng) for sample in simulated])
            for interval, share in hits.mean().items():
                rows.append((blocks, correlation, interval, samples, round(100 * share, 2)))
    columns = ["blocks", "correlation", "interval", "samples", "coverage_percent"]
    return pd.DataFrame(rows, columns=columns)


def plot_coverage(coverage: pd.DataFrame) -> Figure:
    """Plot coverage against the correlation of neighbours, one panel per number of blocks."""
    groups = coverage.groupby("blocks")
    figure = Figure(figsize=(1.2 + 2.4 * len(groups), 3.4), layout="constrained")
    axes = figure.subplots(1, len(groups), sharex=True, sharey=True, squeeze=False)[0]
    for ax, (blocks, panel) in zip(axes, groups, strict=True):
        ax.axhspan(*BAND, color="#e4e4e4", lw=0, label="accepted")
        ax.axhline(95, color="#8a8a8a", lw=0.8)
        for interval, look in LOOKS.items():
            line = panel[panel["interval"] == interval]
            ax.plot(line["correlation"], line["coverage_percent"], lw=1.2, ms=5, **look)
        ax.set_title(f"{blocks} blocks", loc="left", fontsize=9)
        ax.set_xticks(CORRELATIONS)
        ax.set_xlabel("correlation of neighbouring blocks")
    axes[0].set_ylabel("coverage of 95 % intervals (%)")
    look = {"ncols": 3, "frameon": False, "fontsize": 8}
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", **look)
    return figure


def main() -> None:
    """Measure the coverage, and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "blocks",
        nargs="*",
        type=int,
        default=[256, 512, 1024],
        help="evaluation blocks per sample",
    )
    parser.add_argument("--samples", type=int, default=4000, help="simulated samples per setting")
    arguments = parser.parse_args()
    coverage = measure_coverage(arguments.blocks, arguments.samples)
    coverage.to_csv(Path(__file__).with_name("coverage.csv"), index=False)
    look = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with matplotlib.rc_context(look):
        plot_coverage(coverage).savefig(Path(__file__).with_name("coverage.png"), dpi=200)


if __name__ == "__main__":
    main()
