"""Figures of the biases alone: how alike those of two runs are, and the statistics of each."""

from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from spon.figures.style import (
    DOUBLE,
    FAINT,
    MAIN,
    MUTED,
    PER_LINE,
    RUN,
    SINGLE,
    SINGLE_SEED,
    SPARE_MARKERS,
    Style,
    add_legend,
    dress_depth,
    explain,
    make_grid,
    printed,
    style_of,
)

PAIR = ["comparison", "allocation", "sparsity", "reference", "reference_sparsity", "map"]
DASHES = ("-", ":", "--", "-.")
# The rows of figure 7.
STATISTICS = (
    "norm",
    "positive\nentries (%)",
    "excess\nkurtosis",
    "largest deviation\n(robust std)",
    "cosine with\nnext layer",
)
POINT = MAIN["ms"] - 1.2
THIN = {"lw": 0.4, "alpha": 0.6}


@printed()
def plot_cross_configuration(cross_configuration: pd.DataFrame) -> Figure:
    """Plot figure 6: the cosine of two runs' biases by layer, with that of random directions.

    A panel per map and sparsity: allocations with one another, and an allocation with itself under
    another seed. Then a panel per allocation: the same allocation and seed at two sparsities.
    Lines are means over seeds, where there are several, and single pairs are thin.

    Args:
        cross_configuration: `cross_configuration.csv` of the study.
    """
    table = cross_configuration
    if table.empty:
        return plot_nothing("no two runs share a site")
    across = table["comparison"] == "sparsity"
    several = table["map"].nunique() > 1
    at_one, at_two = [], []
    for (name, sparsity), pairs in table[~across].groupby(["map", "sparsity"]):
        title = f"{100 * sparsity:g} % sparsity"
        at_one.append((f"{name}, {title}" if several else title, pairs))
    for (allocation, name), pairs in table[across].groupby(["allocation", "map"], sort=False):
        maps = table.loc[across & (table["allocation"] == allocation), "map"].nunique()
        title = f"{allocation}, two sparsities"
        at_two.append((f"{title}, {name}" if maps > 1 else title, pairs))
    figure, axes = make_panels([at_one, at_two])
    dashes = choose_dashes(table)
    lowest = min(0, table["cosine"].min(), -table["null_95"].max())
    for ax, (title, pairs) in zip(axes, at_one + at_two, strict=True):
        plot_agreement(ax, pairs, dashes)
        ax.set(title=title, ylim=(lowest - 0.05, 1.05))
    add_legend(figure, explain_pairs(table, dashes))
    return figure


def plot_nothing(reason: str) -> Figure:
    """Make a figure that holds only the reason why it is empty."""
    figure = Figure(figsize=(SINGLE, 0.6))
    figure.text(0.5, 0.5, reason, ha="center", va="center", color=MUTED)
    return figure


def kind_of(pair: Any) -> tuple:
    """Return the kind of a pair, which decides its dashes.

    It is the comparison, and with it the two sparsities where the pair compares sparsities.
    """
    if pair["comparison"] == "sparsity":
        return ("sparsity", pair["reference_sparsity"], pair["sparsity"])
    return (pair["comparison"],)


def choose_dashes(table: pd.DataFrame) -> dict[tuple, str]:
    """Choose a line style for every kind of pair; every two sparsities have one of their own."""
    dashes = {("allocation",): "-", ("seed",): "--"}
    kinds = {kind_of(pair) for _, pair in table.iterrows()}
    for number, kind in enumerate(sorted(kinds - set(dashes))):
        dashes[kind] = DASHES[number % len(DASHES)]
    return dashes


def balance_lines(panels: list) -> list[list]:
    """Split a list of panels into lines of about as many, at most `PER_LINE`."""
    lines = -(-len(panels) // PER_LINE)
    ends = [round(len(panels) * number / lines) for number in range(lines + 1)] if lines else []
    return [panels[start:end] for start, end in pairwise(ends)]


def make_panels(blocks: list[list]) -> tuple[Figure, list[Axes]]:
    """Make a figure with one panel per element of the blocks, in order.

    A block begins on a new line, and every line fills the figure's width. All panels share y.
    """
    lines = [line for block in blocks for line in balance_lines(block)]
    size = (SINGLE if max(map(len, lines)) == 1 else DOUBLE, 1.0 + 1.5 * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(len(lines), 1)
    axes: list[Axes] = []
    for row, line in enumerate(lines):
        of_line = grid[row].subgridspec(1, len(line))
        for column in range(len(line)):
            ax = figure.add_subplot(of_line[column], sharey=axes[0] if axes else None)
            ax.tick_params(labelleft=column == 0)
            ax.set_xlabel("layer")
            if column == 0:
                ax.set_ylabel("cosine of biases")
            axes.append(ax)
    return figure, axes


def plot_agreement(ax: Axes, pairs: pd.DataFrame, dashes: dict) -> None:
    """Plot the means of a panel's pairs of runs as lines over the layers, and single ones thinly.

    Behind them lies, per layer, the range that holds 95 % of random directions.
    """
    ax.axhline(0, color=MUTED, lw=0.6, zorder=1.6)
    for layer, null in pairs.groupby("layer")["null_95"].max().items():
        ax.bar(layer, 2 * null, bottom=-null, width=1, color=FAINT, gid="null")
    for _, kind in pairs.groupby(PAIR, sort=False):
        looks = look_of(kind.iloc[0], dashes[kind_of(kind.iloc[0])])
        singles = kind.groupby(["seed", "reference_seed"], sort=False)
        if len(singles) > 1:
            for _, pair in singles:
                pair = pair.sort_values("layer")
                ax.plot("layer", "cosine", data=pair, color=looks["color"], gid="single", **THIN)
        means = kind.groupby("layer")["cosine"].mean()
        line = {"ms": MAIN["ms"] - 1, "lw": 0.9, **looks}
        ax.plot(means.index, means, gid=kind["comparison"].iloc[0], **line)
    layers = sorted(pairs["layer"].unique())
    dress_depth(ax, layers)
    ax.set_xlim(layers[0] - 0.5, layers[-1] + 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(6))


def look_of(pair: Any, dashes: str) -> dict:
    """Return the line and marker of a pair, as arguments of `Axes.plot`.

    The colour and the marker are the allocation's, the marker's edge has the reference's colour.
    The marker is hollow if the pair differs in seed.
    """
    style = style_of(pair["allocation"])
    edge = style_of(pair["reference"]).colour
    face = "white" if pair["comparison"] == "seed" else style.colour
    return {"color": style.colour, "marker": style.marker, "mfc": face, "mec": edge, "ls": dashes}


def explain_pairs(table: pd.DataFrame, dashes: dict) -> list[Line2D]:
    """Make the legend of figure 6: the kinds of pairs that it holds, and random directions."""
    handles = []
    at_one = table[table["comparison"] != "sparsity"]
    for _, pair in at_one.drop_duplicates(["comparison", "allocation", "reference"]).iterrows():
        reference = f"with {pair['reference']}"
        if pair["comparison"] == "seed":
            reference = "another seed"
        looks = look_of(pair, dashes[kind_of(pair)])
        handles.append(explain(f"{pair['allocation']}, {reference}", **MAIN, **looks))
    for (comparison, *sparsities), line in dashes.items():
        if comparison == "sparsity":
            label = " with ".join(f"{100 * sparsity:g} %" for sparsity in sparsities)
            handles.append(explain(label, marker="", lw=0.9, ls=line))
    if table.duplicated([*PAIR, "layer"]).any():
        handles.append(explain("single pair of seeds", marker="", ls="-", **THIN))
    return [*handles, explain("random direction, 95 %", color=FAINT, marker="s", ms=6)]


@printed()
def plot_bias_statistics(bias_statistics: pd.DataFrame, norm_ranking: pd.DataFrame) -> Figure:
    """Plot figure 7: statistics of every bias against its layer, in a column per map and sparsity.

    They are its norm, share of positive entries, excess kurtosis with and without outliers, the
    largest deviation of an entry with the bound of outliers, and the cosine with the next layer's
    bias. Behind them lies what chance gives: the 95 % range of the kurtosis of normal numbers and
    of the cosine of random directions, and one half for the signs.

    Args:
        bias_statistics: `bias_statistics.csv` of every run that is analysed.
        norm_ranking: `norm_ranking.csv` of the study; only runs of the other table are plotted.
    """
    boundary = norm_ranking[[*RUN, "site", "boundary"]]
    table = bias_statistics.merge(boundary, on=[*RUN, "site"], how="left")
    assert len(table) == len(bias_statistics), (
        f"{len(table)} rows of {len(bias_statistics)} biases"
    )
    runs = list(table[["allocation", "seed"]].drop_duplicates().itertuples(index=False, name=None))
    columns = dict(list(table.groupby(["map", "sparsity"])))
    titles = {
        (name, sparsity): f"{name}, {100 * sparsity:g} % sparsity" for name, sparsity in columns
    }
    figure, panels = make_grid(
        titles, rows=len(STATISTICS), height=1.05, below=0.9, per_line=PER_LINE, apart=(0,)
    )
    for key, axes in panels.items():
        plot_chance(axes, columns[key])
        groups = list(columns[key].groupby(["allocation", "seed"], sort=False))
        step = min(0.3, 0.7 / len(groups))
        for number, (run, biases) in enumerate(groups):
            offset = step * (number - (len(groups) - 1) / 2)
            plot_statistics(axes, biases.sort_values("layer"), style_among(run, runs), offset)
        dress_statistics(axes, sorted(columns[key]["layer"].unique()))
    add_legend(figure, explain_statistics(runs))
    return figure


def style_among(run: tuple, runs: list[tuple]) -> Style:
    """Return the style of a run, `(allocation, seed)`, in a figure of several.

    The first of an allocation has the allocation's style; further ones differ in marker alone.
    """
    style = style_of(run[0])
    number = [other for other in runs if other[0] == run[0]].index(run)
    if number == 0:
        return style
    spare = [marker for marker in SPARE_MARKERS if marker != style.marker]
    return style._replace(marker=spare[(number - 1) % len(spare)])


def plot_chance(axes: list[Axes], table: pd.DataFrame) -> None:
    """Plot, per layer, what chance gives: ranges, and the bound of outliers."""
    _, positive, kurtosis, deviation, cosine = axes
    positive.axhline(50, color=MUTED, lw=0.8, zorder=1.6)
    for ax in (kurtosis, cosine):
        ax.use_sticky_edges = False  # or the range would end the axis, and cut points in two
        ax.axhline(0, color=MUTED, lw=0.6, zorder=1.6)
    for layer, sites in table.groupby("layer"):
        low, high = sites["kurtosis_null_low"].min(), sites["kurtosis_null_high"].max()
        kurtosis.bar(layer, high - low, bottom=low, width=1, color=FAINT, gid="null")
        null, bound = sites["cosine_null_95"].max(), sites["outlier_bound"].max()
        cosine.bar(layer, 2 * null, bottom=-null, width=1, color=FAINT, gid="null")
        across = (layer - 0.5, layer + 0.5)
        deviation.plot(across, (bound, bound), color=MUTED, lw=0.9, ls="--", gid="bound")


def plot_statistics(axes: list[Axes], biases: pd.DataFrame, style: Style, offset: float) -> None:
    """Plot one run in all panels of a column.

    Args:
        axes: The panels, in the order of `STATISTICS`.
        biases: A row per bias, ascending by layer.
        offset: Layers by which its points stand beside the layer, so that those of other runs do
            not hide them; norms, which are lines, stand at their layer.
    """
    norm, positive, kurtosis, deviation, cosine = axes
    looks = {"color": style.colour, "marker": style.marker, "ms": POINT}
    hollow = {**looks, "mfc": "white"}
    layer, x = biases["layer"], biases["layer"] + offset

    norm.plot(layer, biases["l2_norm"], lw=0.8, gid="norm", **looks)
    edge = biases["boundary"].eq(True)  # missing where the ranking lacks the run
    norm.plot(layer[edge], biases["l2_norm"][edge], ls="", gid="boundary", **hollow)

    for at, bias in zip(x, biases.itertuples(), strict=True):
        interval = (100 * bias.positive_low, 100 * bias.positive_high)
        positive.plot((at, at), interval, color=style.colour, lw=0.9, gid="interval")
        both = (bias.excess_kurtosis, bias.excess_kurtosis_without_outliers)
        kurtosis.plot((at, at), both, color=style.colour, lw=0.6, gid="outliers")
    positive.plot(x, 100 * biases["positive_fraction"], ls="", gid="positive", **looks)
    without = {**hollow, "ms": SINGLE_SEED["ms"]}
    kurtosis.plot(x, biases["excess_kurtosis"], ls="", gid="kurtosis", **looks)
    kurtosis.plot(x, biases["excess_kurtosis_without_outliers"], ls="", gid="without", **without)
    deviation.plot(x, biases["largest_deviation"], ls="", gid="deviation", **looks)
    # Between the two layers that it compares.
    cosine.plot(layer + 0.5, biases["cosine_next_layer"], lw=0.8, gid="cosine", **looks)


def dress_statistics(axes: list[Axes], layers: list) -> None:
    """Name the axes of a column of panels."""
    for ax, words in zip(axes, STATISTICS, strict=True):
        dress_depth(ax, layers)
        ax.set_xlim(layers[0] - 0.6, layers[-1] + 0.6)
        ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(words)
    axes[0].set_ylim(bottom=0)


def explain_statistics(runs: list[tuple]) -> list[Line2D]:
    """Make the legend of figure 7: the runs, and what its marks mean."""
    handles = []
    for run in runs:
        style = style_among(run, runs)
        handles.append(
            explain(f"{run[0]}, seed {run[1]:g}", color=style.colour, marker=style.marker)
        )
    return [
        *handles,
        explain("norm: edge of the allocation", mfc="white", ms=POINT),
        explain("positive: 95 % interval", marker="", ls="-"),
        explain("kurtosis: without outliers", mfc="white", ms=SINGLE_SEED["ms"]),
        explain("deviation: bound of outliers", color=MUTED, lw=0.9, ls="--", marker=""),
        explain("by chance, 95 %", color=FAINT, marker="s", ms=6),
    ]
