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
DRAWS = 1000
# Means in units of their standard errors: a gain four errors from zero and a damage eight errors
# from zero, so a recovery of 50 %.
GAIN, DAMAGE = 4.0, 8.0
LOOKS = {
    "mean": {"label": "mean_interval", "marker": "o", "color": "#1a1a1a", "ls": "-"},
    "ratio": {"label": "interval of a ratio", "marker": "s", "color": "#0069a8", "ls": "--"},
    "newey_west": {
        "label": "plain Newey-West, 1.96",
        "marker": "x",
        "color": "#d55e00",
        "ls": ":",
    },
}


def simulate(
    blocks: int, correlation: float, samples: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Simulate samples [blocks, 2] of two related AR(1) series: gains and damages.

    They are in units of the true standard errors of their means.
    """
    start = 100  # blocks that are left out, as the series starts from zero
    mix = np.array([[1.0, 0.6], [0.0, 0.8]])
    noise = rng.standard_normal((samples, start + blocks, 2)) @ mix
    series = lfilter([1.0], [1.0, -correlation], noise, axis=1)[:, start:]
    assert series.shape == (samples, blocks, 2), f"unexpected shape: {series.shape}"
    error = 1 / (1 - correlation) / np.sqrt(blocks)
    yield from series / error + np.array([GAIN, DAMAGE])


def find_hits(sample: np.ndarray, seed: int) -> dict[str, bool]:
    """Say of each interval of one sample whether it holds the truth."""
    gain = sample[:, 0]
    drawn_gain, drawn_damage = stats.draw_quantities(sample, DRAWS, seed)
    recovery = (drawn_gain / drawn_damage).interval()
    return {
        "mean": stats.mean_interval(gain - GAIN).holds_zero,
        "ratio": recovery.low <= GAIN / DAMAGE <= recovery.high,
        "newey_west": abs(gain.mean() - GAIN) <= 1.96 * newey_west_error(gain),
    }


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
            simulated = enumerate(simulate(blocks, correlation, samples, rng))
            hits = pd.DataFrame([find_hits(sample, seed) for seed, sample in simulated])
            for interval, share in hits.mean().items():
                rows.append((blocks, correlation, interval, samples, round(100 * share, 2)))
    columns = ["blocks", "correlation", "interval", "samples", "coverage_percent"]
    return pd.DataFrame(rows, columns=columns)


def plot_coverage(coverage: pd.DataFrame) -> Figure:
    """Plot coverage against the correlation of neighbours, one panel per number of blocks."""
    groups = coverage.groupby("blocks")
    figure = Figure(figsize=(1.2 + 2.4 * len(groups), 3.1), layout="constrained")
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
    look = {"ncols": 4, "frameon": False, "fontsize": 8}
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", **look)
    return figure


def main() -> None:
    """Measure the coverage, and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "blocks", nargs="*", type=int, default=[512, 1024], help="evaluation blocks per sample"
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
