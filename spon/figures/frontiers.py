"""Figure of the frontiers: what is as close to the dense model as its cost allows."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from spon.figures.levels import DENSE, pair_levels, pick_pairs
from spon.figures.style import (
    DOUBLE,
    KEYS,
    MAIN,
    MUTED,
    add_legend,
    explain,
    printed,
    say_scope,
    style_of,
)

TICKS = 9  # at most so many on a scale of roots
NICE = (1, 2, 5)  # steps between ticks, times a power of ten


class Measure(NamedTuple):
    """A measure of the distance from the dense model.

    Attributes:
        title: Of its half of the figure.
        unit: By how much a level is multiplied to be plotted.
        is_exponential: Whether a level is the exponential of the nats in which it is compared.
    """

    title: str
    unit: int
    is_exponential: bool


MEASURES = {
    "kl": Measure("KL from the dense model (0.001 nats per token)", 1000, False),
    "nll": Measure("Perplexity on the text", 1, True),
}


@printed()
def plot_pareto(pareto: pd.DataFrame, contrasts: pd.DataFrame) -> Figure:
    """Plot figure 3: the distance from the dense model against its cost, by KL and perplexity.

    The cost is bias parameters within a scope and sparsity, and the sparsity that the whole
    model reaches over all scopes. A frontier is a staircase: it promises nothing between two runs.
    Runs are means over their seeds, with the interval of their paired difference from TEAL, and
    TEAL with that from the dense model. Runs that the data cannot tell apart are hollow.

    Args:
        pareto: `tables/pareto.csv`.
        contrasts: `tables/contrasts.csv`, for the intervals.
    """
    within = pareto[pareto["frontier"] == "scope"]
    lines = [
        (scope, sorted(in_scope["sparsity"].unique()))
        for scope, in_scope in within.groupby("scope", sort=False)
    ]
    figure = Figure(figsize=(DOUBLE, 3.4 + 1.2 * len(lines)), layout="constrained")
    halves = figure.subfigures(1, len(MEASURES))
    for half, (name, measure) in zip(halves, MEASURES.items(), strict=True):
        runs = bound_runs(pareto[pareto["measure"] == name], pick_pairs(contrasts, name), measure)
        plot_half(half, runs, lines, measure)
    handles = []
    for name in sorted(pareto["allocation"].unique(), key=lambda name: name != DENSE):
        style = style_of(name)
        handles.append(explain(name, color=style.colour, marker=style.marker))
    handles.append(explain("frontier", color=MUTED, lw=0.9, ls="-", marker=""))
    handles.append(explain("95 % interval", ls="-", marker="", lw=MAIN["lw"]))
    if is_tied(pareto).any():
        handles.append(explain("tied with another run", mfc="white"))
    add_legend(figure, handles)
    return figure


def is_tied(pareto: pd.DataFrame) -> pd.Series:
    """Say of every row whether it is tied with another one."""
    return pareto["tied_with"].fillna("") != ""


def bound_runs(pareto: pd.DataFrame, pairs: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """Return the rows in the unit of the figure, with `low` and `high` and whether they are tied.

    Where a run has several seeds, its row is their mean, whose contrast has no seed.
    """
    forward, back = (np.log, np.exp) if measure.is_exponential else (np.asarray, np.asarray)
    pairs = pairs.sort_values("seed", na_position="first").drop_duplicates(KEYS)
    runs = pareto.drop(columns=["low", "high"], errors="ignore")
    runs = pair_levels(runs.assign(level=forward(runs["level"])), pairs, KEYS)
    levels = {name: measure.unit * back(runs[name]) for name in ("level", "low", "high")}
    return runs.assign(tied=is_tied(runs), **levels)


def plot_half(half: SubFigure, runs: pd.DataFrame, lines: list[tuple], measure: Measure) -> None:
    """Plot the panels of one measure: one per scope and sparsity, and that of all scopes below.

    Args:
        lines: Every scope with its sparsities.
    """
    half.suptitle(measure.title, x=0.02, ha="left", fontweight="bold", fontsize=7.5)
    columns = max(len(sparsities) for _, sparsities in lines)
    grid = half.add_gridspec(len(lines) + 1, columns, height_ratios=[*[0.85] * len(lines), 2.0])
    for row, (scope, sparsities) in enumerate(lines):
        for column, sparsity in enumerate(sparsities):
            title = say_scope(scope, sparsity) if column == 0 else f"{100 * sparsity:g} %"
            ax = half.add_subplot(grid[row, column], title=title)
            here = runs[(runs["frontier"] == "scope") & (runs["scope"] == scope)]
            plot_frontier(ax, here[here["sparsity"] == sparsity], step="steps-post")
            ax.set_xticks([0, here["cost"].max()], ["0", f"{here['cost'].max():,.0f}"])
            ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            if row == len(lines) - 1 or column >= len(lines[row + 1][1]):
                ax.set_xlabel("bias parameters")
    ax = half.add_subplot(
        grid[-1, :], title="all scopes, on the scale of the root of the distance"
    )
    plot_model_frontier(ax, runs[runs["frontier"] == "model"])


def plot_model_frontier(ax: Axes, runs: pd.DataFrame) -> None:
    """Plot the runs of all scopes against the sparsity of the whole model.

    The scale is that of the root of the distance from the dense model, so that runs close to it
    and far from it are told apart on one axis.
    """
    dense = runs.set_index("allocation").loc[DENSE, "level"]
    # The frontier of a model at least as sparse as asked for leads to the next run on the right.
    plot_frontier(ax, runs.assign(cost=100 * runs["cost"]), step="steps-pre")
    top = max(runs[["level", "high"]].max())
    forward, back = root_scale(dense)
    ax.set_yscale("function", functions=(forward, back))
    ax.set_ylim(back(-0.06 * forward(top)), back(1.05 * forward(top)))
    ax.yaxis.set_major_locator(FixedLocator(choose_ticks(dense, top, forward, back)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{round(tick, 2):g}"))
    ax.set_xlabel("sparsity reached by the whole model (%)")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def root_scale(zero: float) -> tuple[Callable, Callable]:
    """Return the root of the distance from `zero`, negative below it, and its inverse."""

    def forward(level: float | np.ndarray) -> float | np.ndarray:
        return np.sign(np.subtract(level, zero)) * np.sqrt(np.abs(np.subtract(level, zero)))

    def back(root: float | np.ndarray) -> float | np.ndarray:
        return zero + np.sign(root) * np.square(root)

    return forward, back


def choose_ticks(low: float, high: float, forward: Callable, back: Callable) -> list[float]:
    """Choose ticks from `low` on: itself, and then round numbers, about evenly spaced on a scale.

    Each is the roundest number, a multiple of the largest step of 1, 2 and 5 times powers of ten,
    that is between one and two gaps behind the one before.
    """
    gap = (forward(high) - forward(low)) / TICKS
    power = np.ceil(np.log10(high - low))
    steps = [nice * 10.0**p for p in np.arange(power, power - 6, -1) for nice in NICE[::-1]]
    ticks = [low]
    while True:
        last = forward(ticks[-1])
        least, most = back(last + gap), back(last + 2 * gap)
        multiples = (step * np.ceil(least / step) for step in steps)
        following = next(tick for tick in multiples if tick <= most)
        if following > high:
            return ticks
        ticks.append(float(following))


def plot_frontier(ax: Axes, runs: pd.DataFrame, step: str) -> None:
    """Plot every run of a panel as a point, hollow if tied, and the frontier as a staircase.

    Args:
        step: Where a step changes height: "steps-post" at its right end, "steps-pre" at its left.
    """
    assert step in ("steps-post", "steps-pre"), f"unknown step: {step}"
    # Tied runs of one cost are all on the frontier; the next step leaves from the one that is
    # nearest to it.
    order = [True, step == "steps-pre"]
    frontier = runs[runs["on_frontier"]].sort_values(["cost", "level"], ascending=order)
    stairs = {"color": MUTED, "lw": 0.9, "drawstyle": step, "zorder": 1.6}
    ax.plot(frontier["cost"], frontier["level"], gid="frontier", **stairs)
    for run in runs.sort_values("on_frontier").itertuples():
        style = style_of(run.allocation)
        at = (run.cost, run.cost)
        ax.plot(at, (run.low, run.high), color=style.colour, lw=0.8, gid="interval")
        face = "white" if run.tied else style.colour
        looks = {"marker": style.marker, "mec": style.colour, "mfc": face, "ms": MAIN["ms"] - 1}
        ax.plot(run.cost, run.level, ls="", gid=run.allocation, **looks)
    ax.margins(0.12, 0.12)
    ax.grid()
