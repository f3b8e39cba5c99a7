"""Figures of the analyses that need the model: where biases point, how far hidden states move."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spon.figures.style import (
    DOUBLE,
    FAINT,
    MAIN,
    MUTED,
    SINGLE_SEED,
    TOGETHER,
    add_legend,
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
PLACES = {"site_same_input": (-0.13, None), "site": (0.13, "white"), "residual": (0.0, None)}
DEFINITIONS = {"as_published": "as published", "sound": "sound"}
HEAT = "Blues"  # light to dark in grey too


@printed()
def plot_pca_alignment(pca_alignment: pd.DataFrame) -> Figure:
    """Plot figure 4: |cosine| of each layer's bias with the principal components at its site.

    The components are those of the site's outputs. There is a line per run and map, with a pair of
    panels per definition: a heat map over the components and, layer by layer, the largest |cosine|
    beside those of random directions.

    Args:
        pca_alignment: `pca_alignment.csv` of every run that is analysed.
    """
    run_maps = list_run_maps(pca_alignment)
    depths = [select(pca_alignment, run_map)["layer"].nunique() for run_map in run_maps]
    heights = [0.55 + 0.13 * depth for depth in depths]
    figure = Figure(figsize=(DOUBLE, 1 + sum(heights)), layout="constrained")
    widths = [1.25, 1] * len(DEFINITIONS)
    grid = figure.add_gridspec(
        len(run_maps), len(widths), height_ratios=heights, width_ratios=widths
    )
    top = pca_alignment[["max_abs_cosine", "null_95"]].max(axis=None)
    for line, run_map in enumerate(run_maps):
        sites = select(pca_alignment, run_map)
        layers = sorted(sites["layer"].unique())
        for number, (definition, words) in enumerate(DEFINITIONS.items()):
            heat = figure.add_subplot(grid[line, 2 * number])
            chance = figure.add_subplot(grid[line, 2 * number + 1])
            defined = sites[sites["definition"] == definition]
            image = plot_heat(heat, defined, layers, top)
            plot_largest(chance, defined.drop_duplicates("site"), layers, top)
            heat.set_title(f"{title_of(run_map, run_maps)}, {words}")
            if number == 0:
                heat.set_ylabel("layer")
            if line == len(run_maps) - 1:
                heat.set_xlabel("component")
                chance.set_xlabel("largest |cosine|")
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.6, aspect=30, pad=0.01)
    bar.set_label("|cosine| with a component")
    bar.outline.set_visible(False)
    add_legend(figure, explain_chance())
    return figure


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


def plot_largest(ax: Axes, sites: pd.DataFrame, layers: list, top: float) -> None:
    """Plot each layer's largest |cosine| as a point over the range of random directions.

    The range is a bar up to their 95 % quantile, with a mark at their mean.

    Args:
        sites: A row per site.
        top: The largest number that any panel shows.
    """
    for site in sites.itertuples():
        y, style = layers.index(site.layer), style_of(site.allocation)
        ax.barh(y, site.null_95, height=0.7, color=FAINT, gid="null")
        mean = (site.null_mean, site.null_mean)
        ax.plot(mean, (y - 0.35, y + 0.35), color=MUTED, lw=0.9, gid="null mean")
        looks = {"marker": style.marker, "color": style.colour}
        ax.plot(site.max_abs_cosine, y, ls="", ms=MAIN["ms"] - 1, gid=site.allocation, **looks)
    dress_layers(ax, layers)
    ax.tick_params(axis="y", length=0, labelleft=False)
    ax.spines["left"].set_visible(False)
    ax.set_xlim(0, 1.08 * top)
    ax.xaxis.set_major_locator(MaxNLocator(4))


def dress_layers(ax: Axes, layers: list) -> None:
    """Make y the axis of layers, from the top down; of more than twelve every second is named."""
    step = 2 if len(layers) > 12 else 1
    names = [f"{layer:g}" for layer in layers[::step]]
    ax.set_yticks(range(0, len(layers), step), names)
    ax.set_ylim(len(layers) - 0.5, -0.5)


def explain_chance() -> list[Line2D]:
    """Make the legend of figure 4: what the marks beside the heat maps mean."""
    return [
        explain("a bias", ms=MAIN["ms"] - 1),
        explain("random directions: mean", color=MUTED, ls="", marker="|", ms=6),
        explain("and up to their 95 % quantile", color=FAINT, marker="s", ms=6),
    ]


@printed()
def plot_hidden_state_shift(hidden_state_shift: pd.DataFrame) -> Figure:
    """Plot figure 5: the share of TEAL's shift from the dense model that SPON takes back.

    There is a column per run and map. Its first panel shows the sites, with what the biases alone
    predict; its second the residual stream after each layer; its third the sites as published,
    where states are averaged over a prompt before they are compared. The scales of the three rows
    differ.

    Args:
        hidden_state_shift: `hidden_state_shift.csv` of every run that is analysed.
    """
    table = hidden_state_shift[hidden_state_shift["positions"] != "first"]
    figure, panels = make_grid(list_run_maps(table), rows=3, height=1.5, below=0.75)
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
    dress_depth(ax, layers, together=bool(shifts["layer"].isna().any()))
    ax.set_xlim(layers[0] - 0.5, layers[-1] + 2)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.tick_params(labelleft=ax.get_subplotspec().is_first_col())


def plot_layer(ax: Axes, layer: float, shift: Any) -> None:
    """Plot one recovery with its interval, smaller at a site without a bias.

    Args:
        layer: Where it stands: its layer, or the point of all biased sites together.
        shift: A row with `allocation, place, biased` and the recovery with its bounds.
    """
    style = style_of(shift.allocation)
    offset, face = PLACES[shift.place]
    x = layer + offset
    size = MAIN if shift.biased or shift.place == "residual" else SINGLE_SEED
    bounds = (shift.recovery_low, shift.recovery_high)
    ax.plot((x, x), bounds, color=style.colour, lw=size["lw"], gid="interval")
    looks = {"marker": style.marker, "mec": style.colour, "mfc": face or style.colour}
    ax.plot(x, shift.recovery_percent, ls="", ms=size["ms"], gid=shift.place, **looks)


def explain_shift() -> list[Line2D]:
    """Make the legend of figure 5, in the order of its rows."""
    return [
        explain("site, inputs of the dense pass; bar: 95 % interval", **MAIN, ls="-"),
        explain("site, inside the sparse model", mfc="white"),
        explain("site without a bias", mfc="white", ms=SINGLE_SEED["ms"]),
        explain("predicted, with the cross term", color=MUTED, lw=0.9, ls="-", marker=""),
        explain("predicted, without the cross term", color=MUTED, lw=0.9, ls=":", marker=""),
        explain("all: every biased site together", marker=""),
    ]
