"""What the tables of outcomes show: one function per figure."""

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
    PER_LINE,
    SINGLE,
    add_legend,
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
    """Figure 1: how far above the dense model's perplexity TEAL and every run are; one panel per scope and sparsity.

    A perplexity's own interval is mostly the spread between blocks, which all runs share. So TEAL's interval is that
    of its paired difference from the dense model, and a run's that of its paired difference from TEAL: a run differs
    from TEAL where its interval misses TEAL's line. Every panel has a scale of its own, starting at the dense model.

    Args:
        perplexity: `tables/perplexity.csv`.
        contrasts: `tables/contrasts.csv`; the contrasts in nll against TEAL, and TEAL's against the dense model.
    """
    dense = perplexity.set_index("allocation").loc["DENSE", "perplexity"]
    runs = mark_first_seeds(place_above_dense(perplexity, contrasts, dense))
    rows = {
        scope: list(part["allocation"].unique())
        for scope, part in runs.groupby("scope", sort=False)
    }
    heights = {scope: 0.15 + 0.18 * len(names) for scope, names in rows.items()}
    figure, panels = make_panels(runs, heights, "perplexity above dense (%)")
    for (scope, sparsity), panel in runs.groupby(["scope", "sparsity"]):
        plot_rows(panels[scope, sparsity], panel, rows[scope])
    handles = [
        explain(f"dense model, perplexity (PPL) {dense:.2f}", lw=1, ls="-", marker=""),
        explain(
            "BASELINE-TEAL; bar: paired against dense", color=MUTED, lw=0.8, ls="--", marker=""
        ),
        explain("run; bar: 95 % interval, paired against TEAL", ls="-", **FIRST),
    ]
    add_legend(figure, handles, runs)
    return figure


def place_above_dense(
    perplexity: pd.DataFrame, contrasts: pd.DataFrame, dense: float
) -> pd.DataFrame:
    """TEAL and the runs with `above, low, high`: percent above the dense model's perplexity, `dense`.

    The bounds are those of the paired difference from the reference, put where the reference stands.
    """
    pairs = contrasts[contrasts["measure"] == "nll"]
    pairs = pairs[
        pairs["reference"]
        == np.where(pairs["allocation"] == "BASELINE-TEAL", "DENSE", "BASELINE-TEAL")
    ]
    keys, values = (
        ["allocation", "scope", "sparsity", "seed"],
        ["difference_nats_per_token", "low", "high"],
    )
    runs = perplexity[perplexity["allocation"] != "DENSE"]
    runs = runs.merge(pairs[keys + values], on=keys, how="left", validate="one_to_one")
    reference = runs["perplexity"] / np.exp(runs["difference_nats_per_token"])
    bounds = {
        bound: 100 * (reference * np.exp(runs[bound]) / dense - 1) for bound in ("low", "high")
    }
    return runs.assign(above=100 * (runs["perplexity"] / dense - 1), **bounds)


def plot_rows(ax: Axes, panel: pd.DataFrame, names: list[str]) -> None:
    """One row per allocation, further seeds a little lower in it; lines where the dense model and TEAL stand."""
    ax.axvline(0, color=INK, lw=1)
    for above in panel[panel["allocation"] == "BASELINE-TEAL"]["above"]:
        ax.axvline(above, color=MUTED, lw=0.8, ls="--", zorder=1.6)
    beside = {"transform": ax.get_yaxis_transform(), "color": MUTED}
    ax.text(1.01, -0.7, "PPL", va="bottom", **beside)
    for run in panel.itertuples():
        y = names.index(run.allocation)
        plot_run(ax, run.above, y + BESIDE * (not run.first), run, span=(run.low, run.high))
        if run.first:
            ax.text(1.01, y, f"{run.perplexity:.2f}", va="center_baseline", **beside)
    dress_rows(ax, names)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.tick_params(labelleft=ax.get_subplotspec().is_first_col())


@printed()
def plot_damage_recovery(damage_recovery: pd.DataFrame) -> Figure:
    """Figure 2: the share of TEAL's damage that each run wins back, in perplexity and in KL to the dense model.

    Recovery in nll is left to the table: it is recovery in perplexity on another scale. A run without an interval
    (its damage may be zero, so the ratio means nothing) keeps its row and reads n/a.

    Args:
        damage_recovery: `tables/damage_recovery.csv`.
    """
    runs = mark_first_seeds(damage_recovery[damage_recovery["measure"].isin(["perplexity", "kl"])])
    rows = []
    for group, inside in runs.groupby(["scope", "sparsity"], sort=False):
        rows += [(*group, name) for name in ("", *inside["allocation"].unique())]
    figure = Figure(figsize=(DOUBLE, 0.9 + 0.15 * len(rows)), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    window = choose_window(runs)
    for ax, measure, title in zip(
        axes, ("perplexity", "kl"), ("by perplexity", "by KL to dense"), strict=True
    ):
        ax.axvline(0, color=MUTED, lw=0.8, zorder=1.6)
        for run in runs[runs["measure"] == measure].itertuples():
            plot_recovery(ax, rows.index((run.scope, run.sparsity, run.allocation)), run, window)
        dress_rows(
            ax, [name or GROUP.format(scope, 100 * sparsity) for scope, sparsity, name in rows]
        )
        ax.set(title=title, xlim=window, xlabel="damage recovered (%)")
    for label, (_, _, name) in zip(axes[0].get_yticklabels(), rows, strict=True):
        label.set_fontweight("normal" if name else "bold")
    add_legend(figure, [explain("run; bar: 95 % interval", ls="-", **FIRST)], runs)
    return figure


def choose_window(runs: pd.DataFrame) -> tuple[float, float]:
    """Limits that hold zero and all points; an interval may add as much again on each side before it is cut."""
    sound = runs[runs["low"].notna()]
    points = [0, *sound["recovery_percent"]]
    room = max(np.ptp(points), 10)
    left = max(min(points) - room, min([*points, *sound["low"]]))
    right = min(max(points) + room, max([*points, *sound["high"]]))
    return left - 0.05 * room, right + 0.05 * room


def plot_recovery(ax: Axes, row: int, run: Any, window: tuple[float, float]) -> None:
    """One run's recovery, with arrowheads where its interval leaves the window; n/a speaks for a row's every seed."""
    if np.isnan(run.low):
        words, plate = (
            "n/a (damage may be zero)" if run.first else "",
            {"fc": "white", "ec": "none", "pad": 1},
        )
        ax.text(
            0.02,
            row,
            words,
            transform=ax.get_yaxis_transform(),
            va="center",
            color=MUTED,
            bbox=plate,
        )
        return
    y = row + BESIDE * (not run.first)
    plot_run(
        ax, run.recovery_percent, y, run, span=(max(run.low, window[0]), min(run.high, window[1]))
    )
    for end, marker, cut in zip(
        window, "<>", (run.low < window[0], run.high > window[1]), strict=True
    ):
        if cut:
            ax.plot(
                end,
                y,
                marker,
                ms=3,
                color=style_of(run.allocation).colour,
                clip_on=False,
                gid="cut",
            )


@printed()
def plot_pareto(pareto: pd.DataFrame) -> Figure:
    """Figure 3: perplexity against its cost: bias parameters in a scope at a sparsity, model sparsity over all scopes.

    A frontier is a staircase: it promises nothing between two runs. The perplexities' own intervals are not drawn
    (see `plot_perplexity`); what the data cannot tell apart is hollow.

    Args:
        pareto: `tables/pareto.csv`.
    """
    runs = mark_first_seeds(pareto.assign(tied=pareto["tied_with"].fillna("") != ""))
    inside = runs[runs["frontier"] == "scope"]
    figure, panels = make_panels(
        inside, dict.fromkeys(inside["scope"], 1.1), "bias parameters", below=1.9
    )
    for key, panel in inside.groupby(["scope", "sparsity"]):
        plot_frontier(panels[key], panel, step="steps-post")
        panels[key].xaxis.set_major_formatter(EngFormatter(sep=""))
    plot_model_frontier(
        figure.add_subplot(figure.axes[0].get_gridspec()[-1, :]), runs[runs["frontier"] == "model"]
    )
    styles = [(name, style_of(name)) for name in runs["allocation"].unique()]
    handles = [explain(name, color=style.colour, marker=style.marker) for name, style in styles]
    handles.append(explain("frontier", color=MUTED, lw=0.9, ls="-", marker=""))
    add_legend(
        figure,
        handles + [explain("tied within 95 %", mfc="white")] * bool(runs["tied"].any()),
        runs,
    )
    return figure


def plot_model_frontier(ax: Axes, panel: pd.DataFrame) -> None:
    """The runs of all scopes; under each step of the frontier the sparsity of its sites, where there is room."""
    plot_frontier(
        ax, panel, step="steps-pre"
    )  # at least as sparse as asked for: the next run to the right
    low, high = ax.get_ylim()
    ax.set_ylim(low - 0.15 * (high - low), high)
    under = {
        "xytext": (0, -5),
        "textcoords": "offset points",
        "ha": "center",
        "va": "top",
        "rotation": 90,
    }
    free = -np.inf
    for run in (
        panel[panel["on_frontier"] & panel["scope"].notna()].sort_values("cost").itertuples()
    ):
        if run.cost > free:
            ax.annotate(
                f"{100 * run.sparsity:g} %", (run.cost, run.perplexity), color=MUTED, **under
            )
            free = run.cost + 0.03 * np.ptp(panel["cost"])
    ax.set(
        title="all scopes (upright: sparsity of the sites)",
        xlabel="sparsity of the whole model (%)",
    )
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=None))


def plot_frontier(ax: Axes, panel: pd.DataFrame, step: str) -> None:
    """Every run of a panel as a point, hollow if tied, and the staircase through the frontier's."""
    # Tied runs of one cost are all on the frontier; the next step leaves from the one that is nearest to it.
    frontier = panel[panel["on_frontier"]].sort_values(
        ["cost", "perplexity"], ascending=[True, step == "steps-pre"]
    )
    ax.plot(
        frontier["cost"],
        frontier["perplexity"],
        color=MUTED,
        lw=0.9,
        drawstyle=step,
        gid="frontier",
        zorder=1.6,
    )
    for run in panel.sort_values("on_frontier").itertuples():
        plot_run(ax, run.cost, run.perplexity, run, face="white" if run.tied else None)
    ax.margins(0.1, 0.16)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_ylabel("perplexity" if ax.get_subplotspec().is_first_col() else "")
    ax.grid()


def make_panels(
    runs: pd.DataFrame, heights: dict[str, float], xlabel: str, below: float = 0.0
) -> tuple[Figure, dict]:
    """A figure, and by scope and sparsity its titled panels: a scope's side by side, x named once per column.

    Args:
        heights: Inches for the panels of each scope.
        below: Inches for a last line of the grid, left empty.
    """
    lines = []
    for scope in heights:
        sparsities = sorted(runs[runs["scope"] == scope]["sparsity"].unique())
        lines += [
            (scope, sparsities[i : i + PER_LINE]) for i in range(0, len(sparsities), PER_LINE)
        ]
    columns = max(len(sparsities) for _, sparsities in lines)
    ratios = [heights[scope] for scope, _ in lines] + [below] * (below > 0)
    height = 0.65 + 0.35 * len(ratios) + sum(ratios)
    figure = Figure(figsize=(SINGLE if columns == 1 else DOUBLE, height), layout="constrained")
    grid, panels, lowest = figure.add_gridspec(len(ratios), columns, height_ratios=ratios), {}, {}
    for row, (scope, sparsities) in enumerate(lines):
        for column, sparsity in enumerate(sparsities):
            lowest[column] = figure.add_subplot(
                grid[row, column], title=GROUP.format(scope, 100 * sparsity)
            )
            panels[scope, sparsity] = lowest[column]
    for ax in lowest.values():
        ax.set_xlabel(xlabel)
    return figure, panels


@printed()
def plot_pretraining(curve: pd.DataFrame) -> Figure:
    """The reference model's loss on the text that it is trained on and on held-out text, as it is trained.

    Args:
        curve: `curve.csv` of the pretraining.
    """
    figure = Figure(figsize=(SINGLE, 2.2), layout="constrained")
    ax = figure.add_subplot()
    ax.plot(
        curve["tokens"],
        curve["train_nats_per_token"],
        "--",
        color=MUTED,
        lw=1.1,
        label="training text",
    )
    ax.plot(
        curve["tokens"], curve["held_out_nats_per_token"], color=INK, lw=1.1, label="held-out text"
    )
    ax.xaxis.set_major_formatter(EngFormatter(sep=" "))
    ax.set(xlabel="tokens seen", ylabel="nats per token")
    ax.grid(visible=True)
    ax.legend()
    return figure
