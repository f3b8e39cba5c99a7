"""What the analyses that need the model show: where biases point, and how far hidden states move."""

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
    FIRST,
    FURTHER,
    MUTED,
    TOGETHER,
    dress_depth,
    explain,
    list_columns,
    make_grid,
    place_legend,
    printed,
    select,
    style_of,
    title_of,
)

# Hollow: a site inside the sparse model. Beside it, filled, the same site where it sees the inputs of the dense pass.
PLACES = {"site_same_input": (-0.13, None), "site": (0.13, "white"), "residual": (0.0, None)}
DEFINITIONS = {"as_published": "as published", "sound": "sound"}
HEAT = "Blues"  # light to dark in grey too


@printed()
def plot_pca_alignment(pca_alignment: pd.DataFrame) -> Figure:
    """Figure 4: |cosine| of each layer's bias with the principal components of its site's outputs, beside chance.

    A line per run and map, a pair of panels per definition: a heat map over the components, and with the layers still
    in its rows the largest |cosine| upon what random directions reach.

    Args:
        pca_alignment: `pca_alignment.csv` of every run that is analysed.
    """
    columns, definitions = list_columns(pca_alignment), list(DEFINITIONS)
    heights = [
        0.55 + 0.13 * select(pca_alignment, column)["layer"].nunique() for column in columns
    ]
    figure = Figure(figsize=(DOUBLE, 1 + sum(heights)), layout="constrained")
    grid = figure.add_gridspec(len(columns), 4, height_ratios=heights, width_ratios=[1.25, 1] * 2)
    top = pca_alignment[["max_abs_cosine", "null_95"]].max(axis=None)
    for line, column in enumerate(columns):
        run = select(pca_alignment, column)
        layers = sorted(run["layer"].unique())
        for place, definition in enumerate(definitions):
            heat, chance = (figure.add_subplot(grid[line, 2 * place + side]) for side in (0, 1))
            part = run[run["definition"] == definition]
            image = plot_heat(heat, part, layers, top)
            plot_largest(chance, part.drop_duplicates("site"), layers, top)
            heat.set_title(f"{title_of(column, columns)}, {DEFINITIONS[definition]}")
            heat.set(
                ylabel="layer" if place == 0 else "",
                xlabel="component" if line == len(columns) - 1 else "",
            )
            chance.set_xlabel("largest |cosine|" if line == len(columns) - 1 else "")
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.6, aspect=30, pad=0.01)
    bar.set_label("|cosine| with a component")
    bar.outline.set_visible(False)
    place_legend(figure, explain_chance())
    return figure


def plot_heat(ax: Axes, part: pd.DataFrame, layers: list, top: float) -> QuadMesh:
    """|cosine| by layer, from the top down, and component; hatched where there is none."""
    cosines = part.pivot(index="layer", columns="component", values="cosine").abs().reindex(layers)
    ax.patch.set(hatch="/////", edgecolor=FAINT)
    edges = np.arange(cosines.shape[1] + 1) + 0.5, np.arange(len(layers) + 1) - 0.5
    image = ax.pcolormesh(
        *edges, np.ma.masked_invalid(cosines), cmap=HEAT, vmin=0, vmax=top, edgecolors="none"
    )
    image.set_rasterized(True)
    dress_layers(ax, layers)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(cosines.columns[::3])
    return image


def plot_largest(ax: Axes, sites: pd.DataFrame, layers: list, top: float) -> None:
    """A layer's largest |cosine| as a point, upon a bar to random directions' 95 % quantile, their mean marked."""
    for site in sites.itertuples():
        y, style = layers.index(site.layer), style_of(site.allocation)
        ax.barh(y, site.null_95, height=0.7, color=FAINT, gid="null")
        ax.plot((site.null_mean,) * 2, (y - 0.35, y + 0.35), color=MUTED, lw=0.9, gid="null mean")
        looks = {"marker": style.marker, "color": style.colour}
        ax.plot(site.max_abs_cosine, y, ls="", ms=FIRST["ms"] - 1, gid=site.allocation, **looks)
    dress_layers(ax, layers)
    ax.tick_params(axis="y", length=0, labelleft=False)
    ax.spines["left"].set_visible(False)
    ax.set_xlim(0, 1.08 * top)
    ax.xaxis.set_major_locator(MaxNLocator(4))


def dress_layers(ax: Axes, layers: list) -> None:
    """Layers as rows, from the top down; every second is named where there are many."""
    step = 1 + (len(layers) > 12)
    ax.set(
        yticks=range(0, len(layers), step), yticklabels=[f"{layer:g}" for layer in layers[::step]]
    )
    ax.set_ylim(len(layers) - 0.5, -0.5)


def explain_chance() -> list[Line2D]:
    """What the marks beside the heat maps mean."""
    return [
        explain("a bias", ms=FIRST["ms"] - 1),
        explain("random directions: mean", color=MUTED, ls="", marker="|", ms=6),
        explain("and up to their 95 % quantile", color=FAINT, marker="s", ms=6),
    ]


@printed()
def plot_hidden_state_shift(hidden_state_shift: pd.DataFrame) -> Figure:
    """Figure 5: the share of TEAL's shift from the dense model that SPON takes back; a column per run and map.

    Above at the sites, with what the biases alone predict; then in the residual stream after each layer; below as
    published: at the sites, states averaged over a prompt before they are compared. Rows have scales of their own.

    Args:
        hidden_state_shift: `hidden_state_shift.csv` of every run that is analysed.
    """
    table = hidden_state_shift[hidden_state_shift["positions"] != "first"]
    columns = list_columns(table)
    figure, panels = make_grid(columns, rows=3, height=1.5, below=0.75)
    for column, axes in panels.items():
        part = select(table, column)
        published, residual = part["definition"] == "as_published", part["place"] == "residual"
        layers = sorted(part["layer"].dropna().unique())
        for ax, inside in zip(
            axes, (~published & ~residual, ~published & residual, published), strict=True
        ):
            plot_shift(ax, part[inside], layers)
        if axes[0].get_subplotspec().is_first_col():
            for ax, words in zip(
                axes, ("sites", "residual stream", "sites, as published"), strict=True
            ):
                ax.set_ylabel(f"{words}\nshift recovered (%)")
    place_legend(figure, explain_shift())
    return figure


def plot_shift(ax: Axes, part: pd.DataFrame, layers: list) -> None:
    """One panel: a point with its interval per layer, all biased sites together at the right, predictions as lines."""
    ax.axhline(0, color=MUTED, lw=0.8, zorder=1.6)
    for row in part.itertuples():
        plot_layer(ax, layers[-1] + TOGETHER if np.isnan(row.layer) else row.layer, row)
    same = part[(part["place"] == "site_same_input") & part["layer"].notna()].sort_values("layer")
    for name, dashes in (("predicted_spon_shift", "-"), ("predicted_without_cross_term", ":")):
        predicted = 100 * (same["teal_shift"] - same[name]) / same["teal_shift"]
        looks = {"color": MUTED, "lw": 0.9, "ls": dashes, "zorder": 1.7}
        ax.plot(same["layer"] + PLACES["site_same_input"][0], predicted, gid=name, **looks)
    dress_depth(ax, layers, together=bool(part["layer"].isna().any()))
    ax.set_xlim(layers[0] - 0.5, layers[-1] + 2)
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.tick_params(labelleft=ax.get_subplotspec().is_first_col())


def plot_layer(ax: Axes, x: float, row: Any) -> None:
    """One layer's recovery with its interval, smaller at a site without a bias; all biased sites have no layer."""
    style, (offset, face) = style_of(row.allocation), PLACES[row.place]
    x, size = x + offset, FIRST if row.biased or row.place == "residual" else FURTHER
    ax.plot(
        (x, x),
        (row.recovery_low, row.recovery_high),
        color=style.colour,
        lw=size["lw"],
        gid="interval",
    )
    looks = {"marker": style.marker, "mec": style.colour, "mfc": face or style.colour}
    ax.plot(x, row.recovery_percent, ls="", ms=size["ms"], gid=row.place, **looks)


def explain_shift() -> list[Line2D]:
    """What the marks of figure 5 mean, in the order of their rows."""
    return [
        explain("site, inputs of the dense pass; bar: 95 % interval", **FIRST, ls="-"),
        explain("site, inside the sparse model", mfc="white"),
        explain("site without a bias", mfc="white", ms=FURTHER["ms"]),
        explain("predicted, with the cross term", color=MUTED, lw=0.9, ls="-", marker=""),
        explain("predicted, without the cross term", color=MUTED, lw=0.9, ls=":", marker=""),
        explain("all: every biased site together", marker=""),
    ]
