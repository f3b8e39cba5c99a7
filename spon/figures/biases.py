"""What biases alone show: whether runs agree on them, and what their numbers look like."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spon.figures.style import (
    DOUBLE,
    FAINT,
    FIRST,
    FURTHER,
    MUTED,
    PER_LINE,
    RUN,
    SINGLE,
    SPARE_MARKERS,
    Style,
    dress_depth,
    explain,
    list_columns,
    place_legend,
    printed,
    style_of,
    title_of,
)

PAIR = ["comparison", "allocation", "sparsity", "reference", "reference_sparsity", "map"]
DASHES = ("-", ":", "--", "-.")


@printed()
def plot_cross_configuration(cross_configuration: pd.DataFrame) -> Figure:
    """Figure 6: the cosine of two runs' biases, layer by layer, upon what a random direction reaches.

    A panel per sparsity: allocations with one another, and an allocation with itself under another
    seed. Then a panel per allocation: the same allocation and seed at two sparsities.

    Args:
        cross_configuration: `cross_configuration.csv` of the study.
    """
    if cross_configuration.empty:
        return plot_nothing("no two runs share a site")
    table = mark_first_pairs(cross_configuration)
    across, several = table["comparison"] == "sparsity", table["map"].nunique() > 1
    at_one = [
        (f"{100 * s:g} %", name, part)
        for (s, name), part in table[~across].groupby(["sparsity", "map"])
    ]
    at_two = [
        (of, name, part)
        for (of, name), part in table[across].groupby(["allocation", "map"], sort=False)
    ]
    at_two = [(f"{allocation}, two sparsities", name, part) for allocation, name, part in at_two]
    figure, axes = lay_out([at_one, at_two])
    dashes = choose_dashes(table)
    low = min(0, table["cosine"].min(), -table["null_95"].max())
    for ax, (words, name, part) in zip(axes, at_one + at_two, strict=True):
        plot_agreement(ax, part, sorted(table["layer"].unique()), dashes)
        ax.set(title=words + f", {name}" * several, ylim=(low - 0.05, 1.05))
    place_legend(figure, explain_pairs(table, dashes))
    return figure


def plot_nothing(words: str) -> Figure:
    """A figure that says why it is empty: a study of one run has nothing to compare."""
    figure = Figure(figsize=(SINGLE, 0.6))
    figure.text(0.5, 0.5, words, ha="center", va="center", color=MUTED)
    return figure


def key_of(pair: Any) -> tuple:
    """What the dashes of a pair stand for: its comparison, and the two sparsities where they differ."""
    two = (
        (pair["reference_sparsity"], pair["sparsity"]) if pair["comparison"] == "sparsity" else ()
    )
    return (pair["comparison"], *two)


def choose_dashes(table: pd.DataFrame) -> dict[tuple, str]:
    """Lines for every kind of pair; each two sparsities have dashes of their own."""
    keys = sorted({key_of(pair) for _, pair in table.iterrows()} - {("allocation",), ("seed",)})
    return {("allocation",): "-", ("seed",): "--"} | {
        key: DASHES[i % len(DASHES)] for i, key in enumerate(keys)
    }


def mark_first_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs with `first`: whether no smaller seeds of the same two configurations are among them."""
    groups = pairs.groupby(PAIR)
    seeds = [pairs[name] == groups[name].transform("min") for name in ("seed", "reference_seed")]
    return pairs.assign(first=seeds[0] & seeds[1])


def lay_out(blocks: list[list]) -> tuple[Figure, list[Axes]]:
    """A figure and one panel per element of the blocks, in order; a block begins a new line."""
    lines = [block[i : i + PER_LINE] for block in blocks for i in range(0, len(block), PER_LINE)]
    columns = max(map(len, lines))
    size = (SINGLE if columns == 1 else DOUBLE, 0.9 + 1.65 * len(lines))
    figure, axes = Figure(figsize=size, layout="constrained"), []
    grid = figure.add_gridspec(len(lines), columns)
    for row, line in enumerate(lines):
        for column in range(len(line)):
            axes.append(figure.add_subplot(grid[row, column], sharey=axes[0] if axes else None))
            axes[-1].set_ylabel("cosine of biases" if column == 0 else "")
            axes[-1].tick_params(labelleft=column == 0)
            axes[-1].set_xlabel(
                "layer" if row + 1 == len(lines) or column >= len(lines[row + 1]) else ""
            )
    return figure, axes


def plot_agreement(ax: Axes, part: pd.DataFrame, layers: list, dashes: dict) -> None:
    """Every pair of a panel as a line over the layers, and the range that a random direction keeps to, per layer."""
    ax.axhline(0, color=MUTED, lw=0.6, zorder=1.6)
    for layer, null in part.groupby("layer")["null_95"].max().items():
        ax.bar(layer, 2 * null, bottom=-null, width=1, color=FAINT, gid="null")
    for _, pair in part.groupby([*PAIR, "seed", "reference_seed"], sort=False):
        plot_pair(ax, pair.sort_values("layer"), dashes[key_of(pair.iloc[0])])
    dress_depth(ax, layers)
    ax.set_xlim(layers[0] - 0.5, layers[-1] + 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(6))


def plot_pair(ax: Axes, pair: pd.DataFrame, dashes: str) -> None:
    """One pair of runs over the layers, smaller if it is of further seeds."""
    row = pair.iloc[0]
    size = FIRST if row["first"] else FURTHER
    looks = look_of(row, dashes)
    ax.plot(
        "layer",
        "cosine",
        data=pair,
        ms=size["ms"] - 1,
        lw=0.8 * size["lw"],
        gid=row["comparison"],
        **looks,
    )


def look_of(pair: Any, dashes: str) -> dict:
    """The face and line of an allocation, edged by the one that it is held against; other seeds are hollow."""
    style, edge = style_of(pair["allocation"]), style_of(pair["reference"]).colour
    face = "white" if pair["comparison"] == "seed" else style.colour
    return {"color": style.colour, "marker": style.marker, "mfc": face, "mec": edge, "ls": dashes}


def explain_pairs(table: pd.DataFrame, dashes: dict) -> list[Line2D]:
    """The kinds of pairs that the figure holds, and the range of random directions."""
    handles, within = [], table[table["comparison"] != "sparsity"]
    for _, pair in within.drop_duplicates(["comparison", "allocation", "reference"]).iterrows():
        same = pair["comparison"] == "seed"
        words = f"{pair['allocation']}, " + (
            "another seed" if same else f"with {pair['reference']}"
        )
        handles.append(explain(words, **FIRST, **look_of(pair, dashes[key_of(pair)])))
    for (_, *two), line in dashes.items():
        if two:
            handles.append(
                explain(f"{100 * two[0]:g} % with {100 * two[1]:g} %", marker="", lw=0.9, ls=line)
            )
    handles += [explain("further seed", **FURTHER)] * (not table["first"].all())
    return [*handles, explain("random direction, 95 %", color=FAINT, marker="s", ms=6)]


@printed()
def plot_bias_statistics(bias_statistics: pd.DataFrame, norm_ranking: pd.DataFrame) -> Figure:
    """Figure 7: norm, excess kurtosis, share of positive entries and largest entry of every bias, against its layer.

    What normal numbers would show lies behind: the 95 % range of their kurtosis, and one half for the signs. The
    published kurtosis, which divides by a number that is too large, is drawn as small crosses.

    Args:
        bias_statistics: `bias_statistics.csv` of every run that is analysed.
        norm_ranking: `norm_ranking.csv` of the study; only the runs of the other table are drawn.
    """
    boundary = norm_ranking[[*RUN, "site", "boundary"]]
    table = bias_statistics.merge(boundary, on=[*RUN, "site"], how="left")
    columns, figure = list_columns(table), Figure(figsize=(DOUBLE, 4.4), layout="constrained")
    axes = figure.subplots(2, 2)
    plot_null(axes[0, 1], table)
    axes[1, 0].axhline(50, color=MUTED, lw=0.8, zorder=1.6)
    step = min(0.24, 0.7 / len(columns))
    for place, column in enumerate(columns):
        part = table[(table[[*RUN, "map"]] == list(column)).all(axis=1)].sort_values("layer")
        plot_statistics(
            axes, part, style_among(column, columns), step * (place - (len(columns) - 1) / 2)
        )
    titles = (
        "norm of the bias",
        "excess kurtosis",
        "positive entries (%)",
        "largest entry (standard deviations)",
    )
    for ax, title in zip(axes.flat, titles, strict=True):
        ax.set_title(title)
        dress_depth(ax, sorted(table["layer"].unique()))
        ax.set_xlim(table["layer"].min() - 0.6, table["layer"].max() + 0.6)
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for ax in axes[1]:
        ax.set_xlabel("layer")
    axes[0, 0].set_ylim(bottom=0)
    place_legend(figure, explain_statistics(columns))
    return figure


def style_among(column: tuple, columns: list[tuple]) -> Style:
    """The allocation's look; its further runs and maps, which share these panels, differ from it in marker alone."""
    style, further = (
        style_of(column[0]),
        [other for other in columns if other[0] == column[0]].index(column),
    )
    spare = [marker for marker in SPARE_MARKERS if marker != style.marker]
    return style._replace(marker=spare[(further - 1) % len(spare)]) if further else style


def plot_null(ax: Axes, table: pd.DataFrame) -> None:
    """The range that the kurtosis of as many normal numbers keeps to, per layer."""
    ax.use_sticky_edges = False  # or the range would end the axis, and cut points in two
    for layer, sites in table.groupby("layer"):
        low, high = sites["kurtosis_null_low"].min(), sites["kurtosis_null_high"].max()
        ax.bar(layer, high - low, bottom=low, width=1, color=FAINT, gid="null")
    ax.axhline(0, color=MUTED, lw=0.6, zorder=1.6)


def plot_statistics(axes: Any, part: pd.DataFrame, style: Style, offset: float) -> None:
    """One run and map in all four panels, a little beside the others where an interval or a cross is drawn."""
    looks = {"color": style.colour, "marker": style.marker, "ms": FIRST["ms"] - 1}
    x, aside, norm = part["layer"], part["layer"] + offset, axes[0, 0]
    norm.plot(x, part["l2_norm"], lw=0.8, gid="norm", **looks)
    edge = part["boundary"].eq(True)  # a run that the ranking lacks has no known edge
    norm.plot(x[edge], part["l2_norm"][edge], ls="", gid="boundary", **looks | {"mfc": "white"})
    axes[0, 1].plot(aside, part["excess_kurtosis"], ls="", gid="kurtosis", **looks)
    crosses = {"color": style.colour, "marker": "x", "ms": FURTHER["ms"], "ls": ""}
    axes[0, 1].plot(aside + 0.11, part["kurtosis_as_published"], gid="as published", **crosses)
    for at, site in zip(aside, part.itertuples(), strict=True):
        span = (100 * site.positive_low, 100 * site.positive_high)
        axes[1, 0].plot((at, at), span, color=style.colour, lw=FIRST["lw"], gid="interval")
    axes[1, 0].plot(aside, 100 * part["positive_fraction"], ls="", gid="positive", **looks)
    largest, outlying = part["max_abs"] / part["std"], part["outliers"] > 0
    axes[1, 1].plot(aside, largest, ls="", gid="largest", **looks | {"mfc": "white"})
    axes[1, 1].plot(aside[outlying], largest[outlying], ls="", gid="outlier", **looks)


def explain_statistics(columns: list[tuple]) -> list[Line2D]:
    """The runs, and what the marks of figure 7 mean."""
    runs = [(title_of(column, columns), style_among(column, columns)) for column in columns]
    return [
        *(explain(words, color=style.colour, marker=style.marker) for words, style in runs),
        explain("norm: edge of the allocation", mfc="white"),
        explain("kurtosis as published", marker="x", ms=FURTHER["ms"]),
        explain("kurtosis of normal numbers, 95 %", color=FAINT, marker="s", ms=6),
        explain("positive: 95 % interval", marker="", ls="-"),
        explain("largest: outliers by median, MAD", ms=FIRST["ms"] - 1),
        explain("largest: no outliers", mfc="white", ms=FIRST["ms"] - 1),
    ]
