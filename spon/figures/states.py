"""Figures of the analyses that need the model: where biases point, how far hidden states move."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

from spon.figures.style import (
    DOUBLE,
    FAINT,
    MUTED,
    TOGETHER,
    add_legend,
    break_lines,
    dress_depth,
    explain,
    list_run_maps,
    make_grid,
    printed,
    select,
    style_of,
    title_of,
)

# By place, how far right of its layer a point stands, and the colour inside its marker (None: the
# allocation's). A site inside the sparse model is hollow; beside it stands, filled, the same site
# with the inputs of the dense pass.
PLACES = {"site_same_input": (-0.2, None), "site": (0.2, "white"), "residual": (0.0, None)}
POINT, SMALL = {"ms": 3.2, "lw": 1.0}, {"ms": 1.9, "lw": 0.6}  # small: a site without a bias
LABELS = ("component", "largest |cosine|\nof these", "|cosine| with\nmean output")
PER_LINE = 5  # runs side by side in figure 5; figure 4 has two
LINEAR = 10  # percent up to which the scale of recoveries is linear; beyond it is logarithmic
HEAT = "Blues"  # light to dark in grey too


@printed()
def plot_pca_alignment(pca_alignment: pd.DataFrame) -> Figure:
    """Plot figure 4: |cosine| of each layer's bias with its site's principal components and mean.

    They are those of the site's outputs. There are three panels per run and map: a heat map over
    the components in the sound definition; layer by layer, the largest |cosine| with one of them,
    as published too, beside those of random directions; and that with the mean output.

    Args:
        pca_alignment: `pca_alignment.csv` of every run that is analysed.
    """
    run_maps = list_run_maps(pca_alignment)
    lines = break_lines(run_maps, 2)
    depths = {run_map: select(pca_alignment, run_map)["layer"].nunique() for run_map in run_maps}
    heights = [0.5 + 0.12 * max(2, *(depths[run_map] for run_map in line)) for line in lines]
    labelled = 1 if len(run_maps) in (1, 2 * len(lines)) else 2  # lines with words under them
    size = (DOUBLE, 0.7 + 0.4 * labelled + sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    widths = [1.2, 1, 0.8] * len(lines[0])
    grid = figure.add_gridspec(len(lines), len(widths), height_ratios=heights, width_ratios=widths)
    tops = find_tops(pca_alignment)
    for row, line in enumerate(lines):
        for number, run_map in enumerate(line):
            cells = [grid[row, 3 * number + column] for column in range(3)]
            axes = [figure.add_subplot(cell) for cell in cells]
            image = plot_run_map(axes, select(pca_alignment, run_map), tops)
            axes[0].set_title(title_of(run_map, run_maps))
            if number == 0:
                axes[0].set_ylabel("layer")
            if row == len(lines) - 1 or number >= len(lines[row + 1]):
                for ax, words in zip(axes, LABELS, strict=True):
                    ax.set_xlabel(words)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.8, aspect=40, pad=0.01)
    bar.set_label("|cosine|")
    bar.outline.set_visible(False)
    add_legend(figure, explain_chance())
    return figure


def find_tops(pca_alignment: pd.DataFrame) -> tuple[float, float]:
    """Return the largest numbers that panels show: of components, and of the mean output."""
    largest = pca_alignment[["max_abs_cosine", "null_95"]].max(axis=None)
    mean = pca_alignment[["cosine_mean_output", "cosine_null_95"]].abs().max(axis=None)
    return largest, mean


def plot_run_map(axes: list[Axes], sites: pd.DataFrame, tops: tuple[float, float]) -> QuadMesh:
    """Plot the three panels of one run and map, and return the heat map.

    Args:
        sites: Its rows, of both definitions.
        tops: See `find_tops`.
    """
    heat, largest, mean = axes
    layers = sorted(sites["layer"].unique())
    sound = sites[sites["definition"] == "sound"]
    image = plot_heat(heat, sound, layers, tops[0])
    for site in sound.drop_duplicates("site").itertuples():
        y = layers.index(site.layer)
        plot_chance(largest, y, site.null_95, site.null_mean)
        plot_chance(mean, y, site.cosine_null_95)
        plot_cosine(largest, y, site.max_abs_cosine, site.allocation)
        plot_cosine(mean, y, abs(site.cosine_mean_output), site.allocation)
    published = sites[sites["definition"] == "as_published"]
    for site in published.drop_duplicates("site").itertuples():
        y = layers.index(site.layer)
        plot_cosine(largest, y, site.max_abs_cosine, site.allocation, face="white")
    for ax, top in zip((largest, mean), tops, strict=True):
        dress_layers(ax, layers)
        ax.tick_params(axis="y", length=0, labelleft=False)
        ax.spines["left"].set_visible(False)
        ax.set_xlim(0, 1.08 * top)
        ax.xaxis.set_major_locator(MaxNLocator(3))
    return image


def plot_heat(ax: Axes, sites: pd.DataFrame, layers: list, top: float) -> QuadMesh:
    """Plot |cosine| by layer, from the top down, and component; hatched where there is none.

    Args:
        sites: A row per site and component.
        top: The |cosine| that is darkest.
    """
    table = sites.pivot(index="layer", columns="component", values="cosine")
    cosines = table.abs().reindex(layers)
    ax.patch.set(hatch="/////", edgecolor=FAINT)
    x, y = np.arange(cosines.shape[1] + 1) + 0.5, np.arange(len(layers) + 1) - 0.5
    shades = {"cmap": HEAT, "vmin": 0, "vmax": top, "edgecolors": "none"}
    image = ax.pcolormesh(x, y, np.ma.masked_invalid(cosines), **shades)
    image.set_rasterized(True)
    dress_layers(ax, layers)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(cosines.columns[::3])
    return image


def plot_chance(ax: Axes, y: int, bound: float, mean: float | None = None) -> None:
    """Plot the range of random directions as a bar up to a bound, with a mark at their mean."""
    ax.barh(y, bound, height=0.7, color=FAINT, gid="null")
    if mean is not None:
        ax.plot((mean, mean), (y - 0.35, y + 0.35), color=MUTED, lw=0.9, gid="null mean")


def plot_cosine(ax: Axes, y: int, cosine: float, allocation: str, face: str | None = None) -> None:
    """Plot the |cosine| of one bias; `face` is the colour inside, None for the allocation's."""
    style = style_of(allocation)
    looks = {"marker": style.marker, "mec": style.colour, "mfc": face or style.colour}
    gid = allocation if face is None else "as published"
    ax.plot(cosine, y, ls="", **POINT, gid=gid, **looks)


def dress_layers(ax: Axes, layers: list) -> None:
    """Make y the axis of layers, from the top down; of more than twelve every second is named."""
    step = 2 if len(layers) > 12 else 1
    names = [f"{layer:g}" for layer in layers[::step]]
    ax.set_yticks(range(0, len(layers), step), names)
    ax.set_ylim(len(layers) - 0.5, -0.5)


def explain_chance() -> list[Line2D]:
    """Make the legend of figure 4: what the marks beside the heat maps mean."""
    return [
        explain("a bias, outputs at tokens of held-out text", **POINT),
        explain("as published, mean outputs of prompts", **POINT, mfc="white"),
        explain("random directions: mean", color=MUTED, ls="", marker="|", ms=6),
        explain("and up to their 95 % quantile", color=FAINT, marker="s", ms=6),
    ]


@printed()
def plot_hidden_state_shift(hidden_state_shift: pd.DataFrame) -> Figure:
    """Plot figure 5: the share of TEAL's shift from the dense model that SPON takes back.

    There is a column per run and map. Its first panel shows the sites, with what the biases alone
    predict; its second the residual stream after each layer; its third the sites as published,
    where states are averaged over a prompt before they are compared. Recoveries beyond 10 % are on
    a logarithmic scale.

    Args:
        hidden_state_shift: `hidden_state_shift.csv` of every run that is analysed.
    """
    table = hidden_state_shift[hidden_state_shift["positions"] != "first"]
    run_maps = list_run_maps(table)
    titles = {one: title_of(one, run_maps, between="\n") for one in run_maps}
    figure, panels = make_grid(titles, rows=3, height=1.4, below=0.9, per_line=PER_LINE)
    for run_map, axes in panels.items():
        shifts = select(table, run_map)
        layers = sorted(shifts["layer"].dropna().unique())
        published = shifts["definition"] == "as_published"
        residual = shifts["place"] == "residual"
        rows = {
            "sites": shifts[~published & ~residual],
            "residual stream": shifts[~published & residual],
            "sites, as published": shifts[published],
        }
        for ax, (words, in_panel) in zip(axes, rows.items(), strict=True):
            plot_shift(ax, in_panel, layers)
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel(f"{words}\nshift recovered (%)")
    add_legend(figure, explain_shift())
    return figure


def plot_shift(ax: Axes, shifts: pd.DataFrame, layers: list) -> None:
    """Plot one panel of figure 5: a point with its interval per layer, and predictions as lines.

    All biased sites together, which have no layer, stand at the right.
    """
    ax.axhline(0, color=MUTED, lw=0.8, zorder=1.6)
    for shift in shifts.itertuples():
        x = layers[-1] + TOGETHER if np.isnan(shift.layer) else shift.layer
        plot_layer(ax, x, shift)
    # The predictions are of sites with the inputs of the dense pass, and stand at those points.
    is_predicted = (shifts["place"] == "site_same_input") & shifts["layer"].notna()
    sites = shifts[is_predicted].sort_values("layer")
    offset, _ = PLACES["site_same_input"]
    for name, dashes in (("predicted_spon_shift", "-"), ("predicted_without_cross_term", ":")):
        recovery = 100 * (sites["teal_shift"] - sites[name]) / sites["teal_shift"]
        looks = {"color": MUTED, "lw": 0.9, "ls": dashes, "zorder": 1.7}
        ax.plot(sites["layer"] + offset, recovery, gid=name, **looks)
    most = 9 if ax.get_gridspec().ncols < 4 else 4
    dress_depth(ax, layers, together=bool(shifts["layer"].isna().any()), most=most)
    ax.set_xlim(layers[0] - 0.6, layers[-1] + 2.1)
    ax.set_yscale("symlog", linthresh=LINEAR)
    ax.yaxis.set_major_locator(FixedLocator([-1000, -100, -10, -5, 0, 5, 10, 100]))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_locator(NullLocator())


def plot_layer(ax: Axes, layer: float, shift: Any) -> None:
    """Plot one recovery with its interval, smaller at a site without a bias.

    Args:
        layer: Where it stands: its layer, or the point of all biased sites together.
        shift: A row with `allocation, place, biased` and the recovery with its bounds.
    """
    style = style_of(shift.allocation)
    offset, face = PLACES[shift.place]
    x = layer + offset
    size = POINT if shift.biased or shift.place == "residual" else SMALL
    bounds = (shift.recovery_low, shift.recovery_high)
    ax.plot((x, x), bounds, color=style.colour, lw=size["lw"], gid="interval")
    looks = {"marker": style.marker, "mec": style.colour, "mfc": face or style.colour}
    ax.plot(x, shift.recovery_percent, ls="", ms=size["ms"], gid=shift.place, **looks)


def explain_shift() -> list[Line2D]:
    """Make the legend of figure 5, in the order of its rows."""
    return [
        explain("site, inputs of the dense pass; bar: 95 % interval", **POINT, ls="-"),
        explain("site, inside the sparse model", mfc="white", **POINT),
        explain("site without a bias", mfc="white", **SMALL),
        explain("predicted, with the cross term", color=MUTED, lw=0.9, ls="-", marker=""),
        explain("predicted, without the cross term", color=MUTED, lw=0.9, ls=":", marker=""),
        explain("all: every biased site together", marker=""),
        explain(f"linear scale up to {LINEAR} %, then logarithmic", marker=""),
    ]
