"""Figures of the tables of outcomes, and of the reference model's pretraining."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import EngFormatter, MaxNLocator

from spon.figures.levels import DENSE, TEAL, measure_levels
from spon.figures.style import (
    BESIDE,
    DOUBLE,
    INK,
    MAIN,
    MUTED,
    SINGLE,
    add_run_legend,
    break_lines,
    dress_rows,
    explain,
    mark_single_seeds,
    plot_run,
    printed,
    say_scope,
    style_of,
)


class Scale(NamedTuple):
    """How a level in nats per token is plotted, and written beside its point.

    Attributes:
        title: Of the panels in this scale.
        label: Of its axis.
        head: Of the written levels.
        place: From a level to its place on the axis, 0 for the dense model.
        say: From a level to words.
    """

    title: str
    label: str
    head: str
    place: Callable
    say: Callable[[float], str]


def make_scales(dense_nll: float) -> dict[str, Scale]:
    """Return the scale of every measure; that of KL, which is what is trained, comes first."""
    return {
        "kl": Scale(
            "KL divergence from the dense model",
            "KL from dense (0.001 nats per token)",
            "KL",
            lambda level: 1000 * level,
            lambda level: f"{1000 * level:#.3g}".rstrip("."),
        ),
        "nll": Scale(
            f"Perplexity on the text (dense model: {np.exp(dense_nll):.2f})",
            "perplexity above dense (%)",
            "PPL",
            lambda level: 100 * (np.exp(level - dense_nll) - 1),
            lambda level: f"{np.exp(level):.2f}",
        ),
    }


@printed()
def plot_perplexity(perplexity: pd.DataFrame, contrasts: pd.DataFrame) -> Figure:
    """Plot figure 1: how far TEAL and every run are from the dense model, by KL and perplexity.

    There is a panel per measure, scope and sparsity, with a scale of its own that starts at the
    dense model. A perplexity's own interval is mostly the spread between blocks, which all runs
    share. So TEAL's interval is that of its paired difference from the dense model, and a run's
    that of its paired difference from TEAL: a run differs from TEAL where its interval misses
    TEAL's line.

    Args:
        perplexity: `tables/perplexity.csv`.
        contrasts: `tables/contrasts.csv`; those of the runs against TEAL and of TEAL against the
            dense model are used.
    """
    scales = make_scales(perplexity.set_index("allocation").loc[DENSE, "nll_nats_per_token"])
    levels = {name: measure_levels(perplexity, contrasts, name) for name in scales}
    names = list_names(levels["kl"])
    lines = list_lines(levels["kl"])
    heights = [0.08 + 0.125 * len(names[scope]) for scope, _ in lines]
    height = 0.6 + len(scales) * (0.35 + 0.4 * len(lines) + sum(heights))
    width = SINGLE if max(len(line) for _, line in lines) == 1 else DOUBLE
    figure = Figure(figsize=(width, height), layout="constrained")
    blocks = figure.subfigures(len(scales), 1, squeeze=False)[:, 0]
    for block, (name, scale) in zip(blocks, scales.items(), strict=True):
        panels = make_panels(block, scale.title, lines, heights, scale.label)
        for key, ax in panels.items():
            runs = levels[name]
            runs = runs[(runs[["scope", "sparsity"]] == list(key)).all(axis=1)]
            plot_rows(ax, runs, names[key[0]], scale)
    handles = [
        explain("dense model", lw=1, ls="-", marker=""),
        explain("TEAL; its bar: paired against dense", color=MUTED, lw=0.8, ls="--", marker=""),
        explain("run; bar: 95 % interval, paired against TEAL", ls="-", **MAIN),
    ]
    add_run_legend(figure, handles, levels["kl"])
    return figure


def list_names(runs: pd.DataFrame) -> dict[str, list[str]]:
    """List the allocations of every scope, in the order of the table."""
    groups = runs.groupby("scope", sort=False)["allocation"]
    return {scope: list(names.unique()) for scope, names in groups}


def list_lines(runs: pd.DataFrame) -> list[tuple[str, list[float]]]:
    """List the lines of a figure with a panel per scope and sparsity: a scope, its sparsities."""
    lines = []
    for scope, in_scope in runs.groupby("scope", sort=False):
        sparsities = sorted(in_scope["sparsity"].unique())
        lines += [(scope, line) for line in break_lines(sparsities)]
    return lines


def make_panels(
    block: SubFigure, title: str, lines: list[tuple], heights: list[float], xlabel: str
) -> dict[tuple, Axes]:
    """Make a titled block of panels, and return them by scope and sparsity.

    Args:
        lines: See `list_lines`.
        heights: Inches for the panels of each line.
        xlabel: What x is; it stands under the lowest panel of each column.
    """
    block.suptitle(title, x=0.005, ha="left", fontweight="bold", fontsize=7.5)
    columns = max(len(line) for _, line in lines)
    grid = block.add_gridspec(len(lines), columns, height_ratios=heights)
    panels, lowest = {}, {}
    for row, (scope, sparsities) in enumerate(lines):
        for column, sparsity in enumerate(sparsities):
            ax = block.add_subplot(grid[row, column], title=say_scope(scope, sparsity))
            panels[scope, sparsity] = lowest[column] = ax
    for ax in lowest.values():
        ax.set_xlabel(xlabel)
    return panels


def plot_rows(ax: Axes, runs: pd.DataFrame, names: list[str], scale: Scale) -> None:
    """Plot the runs of a panel of figure 1, in one row per allocation.

    Single seeds stand a little lower in their row. Lines mark the dense model and TEAL.
    """
    ax.axvline(0, color=INK, lw=1)
    for level in runs[runs["allocation"] == TEAL]["level"]:
        ax.axvline(scale.place(level), color=MUTED, lw=0.8, ls="--", zorder=1.6)
    right_of_axis = {"transform": ax.get_yaxis_transform(), "color": MUTED}
    ax.text(1.01, -0.7, scale.head, va="bottom", **right_of_axis)
    for run in runs.itertuples():
        y = names.index(run.allocation)
        span = (scale.place(run.low), scale.place(run.high))
        plot_run(ax, scale.place(run.level), y + BESIDE * run.single, run, span)
        if not run.single:
            ax.text(1.01, y, scale.say(run.level), va="center_baseline", **right_of_axis)
    dress_rows(ax, names)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(labelleft=ax.get_subplotspec().is_first_col())


@printed()
def plot_damage_recovery(damage_recovery: pd.DataFrame) -> Figure:
    """Plot figure 2: the share of TEAL's damage that each run wins back.

    It is shown in KL to the dense model and in perplexity; recovery in nll is left to the table,
    as it is recovery in perplexity on another scale. A run without an interval (its damage may be
    zero, so the ratio means nothing) keeps its row and reads n/a.

    Args:
        damage_recovery: `tables/damage_recovery.csv`.
    """
    titles = {"kl": "By KL divergence from the dense model", "perplexity": "By perplexity"}
    runs = mark_single_seeds(damage_recovery[damage_recovery["measure"].isin(titles)])
    names = list_names(runs)
    rows = [(scope, name) for scope in names for name in ["", *names[scope]]]
    figure, blocks = make_columns(rows, sorted(runs["sparsity"].unique()), titles)
    for measure, panels in blocks.items():
        of_measure = runs[runs["measure"] == measure]
        window = choose_window(of_measure)
        for sparsity, ax in panels.items():
            for run in of_measure[of_measure["sparsity"] == sparsity].itertuples():
                plot_recovery(ax, rows.index((run.scope, run.allocation)), run, window)
            ax.set_xlim(window)
            ax.set_xlabel("damage recovered (%)")
    add_run_legend(figure, [explain("run; bar: 95 % interval", ls="-", **MAIN)], runs)
    return figure


def make_columns(
    rows: list[tuple[str, str]],
    sparsities: list[float],
    titles: dict[str, str],
    inches: float = 0.135,
) -> tuple[Figure, dict[str, dict[float, Axes]]]:
    """Make a figure with a block per title, in which each sparsity is a column with these rows.

    Args:
        rows: Scope and name of each row; a scope's heading has no name.
        sparsities: In the order of the columns.
        titles: Of the blocks, by name.
        inches: Height of a row.

    Returns:
        The figure, and its panels by block and sparsity.
    """
    lines = break_lines(sparsities)
    size = SINGLE if len(sparsities) == 1 else DOUBLE
    height = 0.5 + len(titles) * (0.25 + len(lines) * (0.55 + inches * len(rows)))
    figure = Figure(figsize=(size, height), layout="constrained")
    blocks = figure.subfigures(len(titles), 1, squeeze=False)[:, 0]
    panels: dict[str, dict[float, Axes]] = {}
    for block, (key, title) in zip(blocks, titles.items(), strict=True):
        block.suptitle(title, x=0.005, ha="left", fontweight="bold", fontsize=7.5)
        grid = block.add_gridspec(len(lines), len(lines[0]))
        panels[key] = {}
        for line, in_line in enumerate(lines):
            for column, sparsity in enumerate(in_line):
                ax = block.add_subplot(grid[line, column], title=f"{100 * sparsity:g} % sparsity")
                dress_columns(ax, rows)
                panels[key][sparsity] = ax
    return figure, panels


def dress_columns(ax: Axes, rows: list[tuple[str, str]]) -> None:
    """Name the rows of a panel at its left if it is the first of its line; headings are bold."""
    ax.axvline(0, color=MUTED, lw=0.8, zorder=1.6)
    dress_rows(ax, [name or say_scope(scope) for scope, name in rows])
    ax.xaxis.set_major_locator(MaxNLocator(5))
    for label, (_, name) in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if name else "bold")
    ax.tick_params(labelleft=ax.get_subplotspec().is_first_col())


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
        if not run.single:
            plate = {"fc": "white", "ec": "none", "pad": 1}
            words = {"color": MUTED, "va": "center", "bbox": plate}
            transform = ax.get_yaxis_transform()
            ax.text(0.02, row, "n/a (no damage shown)", transform=transform, **words)
        return
    left, right = window
    span = (max(run.low, left), min(run.high, right))
    plot_run(ax, run.recovery_percent, row + BESIDE * run.single, run, span)
    if run.single:
        return
    arrowhead = {"ms": 3, "color": style_of(run.allocation).colour, "clip_on": False, "gid": "cut"}
    if run.low < left:
        ax.plot(left, row, "<", **arrowhead)
    if run.high > right:
        ax.plot(right, row, ">", **arrowhead)


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
