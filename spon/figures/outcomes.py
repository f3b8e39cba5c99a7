"""Figures of the tables of outcomes, and of the reference model's pretraining."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from spon.figures.style import (
    BESIDE,
    DOUBLE,
    FIRST,
    INK,
    MUTED,
    SINGLE,
    add_run_legend,
    break_lines,
    dress_rows,
    explain,
    mark_first_seeds,
    plot_run,
    printed,
    style_of,
)

GROUP = "{}, {:g} %"  # the heading of a scope and sparsity


@printed()
def plot_perplexity(perplexity: pd.DataFrame, contrasts: pd.DataFrame) -> Figure:
    """Plot figure 1: how far TEAL and every run are above the dense model's perplexity.

    There is a panel per scope and sparsity, with a scale of its own that starts at the dense
    model. A perplexity's own interval is mostly the spread between blocks, which all runs share.
    So TEAL's interval is that of its paired difference from the dense model, and a run's that of
    its paired difference from TEAL: a run differs from TEAL where its interval misses TEAL's line.

    Args:
        perplexity: `tables/perplexity.csv`.
        contrasts: `tables/contrasts.csv`; those in nll are used, of the runs against TEAL and of
            TEAL against the dense model.
    """
    dense = perplexity.set_index("allocation").loc["DENSE", "perplexity"]
    runs = mark_first_seeds(add_percent_above(perplexity, contrasts, dense))
    names, heights = {}, {}
    for scope, in_scope in runs.groupby("scope", sort=False):
        names[scope] = list(in_scope["allocation"].unique())
        heights[scope] = 0.15 + 0.18 * len(names[scope])
    figure, panels = make_panels(runs, heights, "perplexity above dense (%)")
    for (scope, sparsity), in_panel in runs.groupby(["scope", "sparsity"]):
        plot_rows(panels[scope, sparsity], in_panel, names[scope])
    teal = {"color": MUTED, "lw": 0.8, "ls": "--", "marker": ""}
    handles = [
        explain(f"dense model, perplexity (PPL) {dense:.2f}", lw=1, ls="-", marker=""),
        explain("BASELINE-TEAL; bar: paired against dense", **teal),
        explain("run; bar: 95 % interval, paired against TEAL", ls="-", **FIRST),
    ]
    add_run_legend(figure, handles, runs)
    return figure


def add_percent_above(
    perplexity: pd.DataFrame, contrasts: pd.DataFrame, dense: float
) -> pd.DataFrame:
    """Return TEAL and the runs with `above, low, high`: percent above the dense perplexity.

    The bounds are those of the paired difference from the reference, added to the reference's own
    perplexity; they are missing where a run has no contrast.
    """
    keys = ["allocation", "scope", "sparsity", "seed"]
    values = ["difference_nats_per_token", "low", "high"]
    is_teal = contrasts["allocation"] == "BASELINE-TEAL"
    wanted = contrasts["reference"] == np.where(is_teal, "DENSE", "BASELINE-TEAL")
    pairs = contrasts[wanted & (contrasts["measure"] == "nll")]
    runs = perplexity[perplexity["allocation"] != "DENSE"]
    runs = runs.merge(pairs[keys + values], on=keys, how="left", validate="one_to_one")
    reference = runs["perplexity"] / np.exp(runs["difference_nats_per_token"])
    return runs.assign(
        above=100 * (runs["perplexity"] / dense - 1),
        low=100 * (reference * np.exp(runs["low"]) / dense - 1),
        high=100 * (reference * np.exp(runs["high"]) / dense - 1),
    )


def plot_rows(ax: Axes, runs: pd.DataFrame, names: list[str]) -> None:
    """Plot the runs of a panel of figure 1, in one row per allocation.

    Further seeds stand a little lower in their row. Lines mark the dense model and TEAL.
    """
    ax.axvline(0, color=INK, lw=1)
    for above in runs[runs["allocation"] == "BASELINE-TEAL"]["above"]:
        ax.axvline(above, color=MUTED, lw=0.8, ls="--", zorder=1.6)
    right_of_axis = {"transform": ax.get_yaxis_transform(), "color": MUTED}
    ax.text(1.01, -0.7, "PPL", va="bottom", **right_of_axis)
    for run in runs.itertuples():
        y = names.index(run.allocation)
        plot_run(ax, run.above, y + BESIDE * (not run.first), run, span=(run.low, run.high))
        if run.first:
            ax.text(1.01, y, f"{run.perplexity:.2f}", va="center_baseline", **right_of_axis)
    dress_rows(ax, names)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(labelleft=ax.get_subplotspec().is_first_col())


@printed()
def plot_damage_recovery(damage_recovery: pd.DataFrame) -> Figure:
    """Plot figure 2: the share of TEAL's damage that each run wins back.

    It is shown in perplexity and in KL to the dense model; recovery in nll is left to the table,
    as it is recovery in perplexity on another scale. A run without an interval (its damage may be
    zero, so the ratio means nothing) keeps its row and reads n/a.

    Args:
        damage_recovery: `tables/damage_recovery.csv`.
    """
    runs = mark_first_seeds(damage_recovery[damage_recovery["measure"].isin(["perplexity", "kl"])])
    rows, labels = [], []
    for (scope, sparsity), group in runs.groupby(["scope", "sparsity"], sort=False):
        names = list(group["allocation"].unique())
        rows += [(scope, sparsity, name) for name in ["", *names]]  # the heading has no name
        labels += [GROUP.format(scope, 100 * sparsity), *names]
    figure = Figure(figsize=(DOUBLE, 0.9 + 0.15 * len(rows)), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    window = choose_window(runs)
    titles = {"perplexity": "by perplexity", "kl": "by KL to dense"}
    for ax, (measure, title) in zip(axes, titles.items(), strict=True):
        ax.axvline(0, color=MUTED, lw=0.8, zorder=1.6)
        for run in runs[runs["measure"] == measure].itertuples():
            plot_recovery(ax, rows.index((run.scope, run.sparsity, run.allocation)), run, window)
        dress_rows(ax, labels)
        ax.set(title=title, xlim=window, xlabel="damage recovered (%)")
    for label, (_, _, name) in zip(axes[0].get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if name else "bold")
    add_run_legend(figure, [explain("run; bar: 95 % interval", ls="-", **FIRST)], runs)
    return figure


def choose_window(runs: pd.DataFrame) -> tuple[float, float]:
    """Choose the limits of x: they hold zero, all points, and intervals as far as there is room.

    On either side an interval may reach as far beyond the points as the points span; it is cut
    there, so that one wide interval does not hide the differences between the runs.
    """
    bounded = runs[runs["low"].notna()]
    points = [0, *bounded["recovery_percent"]]
    room = max(np.ptp(points), 10)
    left = max(min(points) - room, min([*points, *bounded["low"]]))
    right = min(max(points) + room, max([*points, *bounded["high"]]))
    return left - 0.05 * room, right + 0.05 * room


def plot_recovery(ax: Axes, row: int, run: Any, window: tuple[float, float]) -> None:
    """Plot one run's recovery, with an arrowhead where its interval leaves the window.

    A row without intervals reads n/a, once for all seeds.
    """
    if np.isnan(run.low):
        if run.first:
            plate = {"fc": "white", "ec": "none", "pad": 1}
            words = {"color": MUTED, "va": "center", "bbox": plate}
            transform = ax.get_yaxis_transform()
            ax.text(0.02, row, "n/a (damage may be zero)", transform=transform, **words)
        return
    left, right = window
    y = row + BESIDE * (not run.first)
    plot_run(ax, run.recovery_percent, y, run, span=(max(run.low, left), min(run.high, right)))
    arrowhead = {"ms": 3, "color": style_of(run.allocation).colour, "clip_on": False, "gid": "cut"}
    if run.low < left:
        ax.plot(left, y, "<", **arrowhead)
    if run.high > right:
        ax.plot(right, y, ">", **arrowhead)


@printed()
def plot_pareto(pareto: pd.DataFrame) -> Figure:
    """Plot figure 3: perplexity against its cost.

    The cost is bias parameters within a scope and sparsity, and the sparsity of the whole model
    over all scopes. A frontier is a staircase: it promises nothing between two runs. The intervals
    of the perplexities are left to `plot_perplexity`; runs that the data cannot tell apart are
    hollow.

    Args:
        pareto: `tables/pareto.csv`.
    """
    runs = mark_first_seeds(pareto.assign(tied=pareto["tied_with"].fillna("") != ""))
    within = runs[runs["frontier"] == "scope"]
    heights = dict.fromkeys(within["scope"], 1.1)
    figure, panels = make_panels(within, heights, "bias parameters", below=1.9)
    for key, in_panel in within.groupby(["scope", "sparsity"]):
        plot_frontier(panels[key], in_panel, step="steps-post")
        panels[key].xaxis.set_major_formatter(EngFormatter(sep=""))
    last_line = figure.axes[0].get_gridspec()[-1, :]
    plot_model_frontier(figure.add_subplot(last_line), runs[runs["frontier"] == "model"])
    handles = []
    for name in runs["allocation"].unique():
        style = style_of(name)
        handles.append(explain(name, color=style.colour, marker=style.marker))
    handles.append(explain("frontier", color=MUTED, lw=0.9, ls="-", marker=""))
    if runs["tied"].any():
        handles.append(explain("tied within 95 %", mfc="white"))
    add_run_legend(figure, handles, runs)
    return figure


def plot_model_frontier(ax: Axes, runs: pd.DataFrame) -> None:
    """Plot the runs of all scopes against the sparsity of the whole model.

    Under each step of the frontier stands the sparsity of its sites, where there is room.
    """
    # A model at least as sparse as asked for is the next run to the right, so steps lead there.
    plot_frontier(ax, runs, step="steps-pre")
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.15 * (high - low), high)
    under = {"xytext": (0, -5), "textcoords": "offset points", "va": "top", "rotation": 90}
    sparse = runs[runs["on_frontier"] & runs["scope"].notna()]
    free = -np.inf  # the cost from which on no label is in the way
    for run in sparse.sort_values("cost").itertuples():
        if run.cost > free:
            label = f"{100 * run.sparsity:g} %"
            ax.annotate(label, (run.cost, run.perplexity), color=MUTED, ha="center", **under)
            free = run.cost + 0.03 * np.ptp(runs["cost"])
    ax.set_title("all scopes (upright: sparsity of the sites)")
    ax.set_xlabel("sparsity of the whole model (%)")
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))


def plot_frontier(ax: Axes, runs: pd.DataFrame, step: str) -> None:
    """Plot every run of a panel as a point, hollow if tied, and the frontier as a staircase.

    Args:
        step: Where a step changes height: "steps-post" at its right end, "steps-pre" at its left.
    """
    assert step in ("steps-post", "steps-pre"), f"unknown step: {step}"
    # Tied runs of one cost are all on the frontier; the next step leaves from the one that is
    # nearest to it.
    order = [True, step == "steps-pre"]
    frontier = runs[runs["on_frontier"]].sort_values(["cost", "perplexity"], ascending=order)
    stairs = {"color": MUTED, "lw": 0.9, "drawstyle": step, "zorder": 1.6}
    ax.plot(frontier["cost"], frontier["perplexity"], gid="frontier", **stairs)
    for run in runs.sort_values("on_frontier").itertuples():
        plot_run(ax, run.cost, run.perplexity, run, face="white" if run.tied else None)
    ax.margins(0.1, 0.16)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_ylabel("perplexity" if ax.get_subplotspec().is_first_col() else "")
    ax.grid()


def make_panels(
    runs: pd.DataFrame, heights: dict[str, float], xlabel: str, below: float = 0.0
) -> tuple[Figure, dict]:
    """Make a figure with a titled panel per scope and sparsity, those of a scope side by side.

    Args:
        heights: Inches for the panels of each scope.
        xlabel: What x is; it stands under the lowest panel of each column.
        below: Inches for a last line of the grid, left empty.

    Returns:
        The figure, and its panels by scope and sparsity.
    """
    lines = []
    for scope in heights:
        sparsities = sorted(runs[runs["scope"] == scope]["sparsity"].unique())
        lines += [(scope, line) for line in break_lines(sparsities)]
    columns = max(len(sparsities) for _, sparsities in lines)
    ratios = [heights[scope] for scope, _ in lines]
    if below > 0:
        ratios.append(below)
    height = 0.65 + 0.35 * len(ratios) + sum(ratios)
    figure = Figure(figsize=(SINGLE if columns == 1 else DOUBLE, height), layout="constrained")
    grid = figure.add_gridspec(len(ratios), columns, height_ratios=ratios)
    panels, lowest = {}, {}
    for row, (scope, sparsities) in enumerate(lines):
        for column, sparsity in enumerate(sparsities):
            title = GROUP.format(scope, 100 * sparsity)
            ax = figure.add_subplot(grid[row, column], title=title)
            panels[scope, sparsity] = lowest[column] = ax
    for ax in lowest.values():
        ax.set_xlabel(xlabel)
    return figure, panels


@printed()
def plot_pretraining(curve: pd.DataFrame) -> Figure:
    """Plot the reference model's loss during its training, on training text and held-out text.

    Args:
        curve: `curve.csv` of the pretraining.
    """
    figure = Figure(figsize=(SINGLE, 2.2), layout="constrained")
    ax = figure.add_subplot()
    training = {"ls": "--", "color": MUTED, "label": "training text"}
    held_out = {"color": INK, "label": "held-out text"}
    ax.plot(curve["tokens"], curve["train_nats_per_token"], lw=1.1, **training)
    ax.plot(curve["tokens"], curve["held_out_nats_per_token"], lw=1.1, **held_out)
    ax.xaxis.set_major_formatter(EngFormatter(sep=" "))
    ax.set(xlabel="tokens seen", ylabel="nats per token")
    ax.grid(visible=True)
    ax.legend()
    return figure
