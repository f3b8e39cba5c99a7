"""Figures of the biases alone: how alike those of two runs are, and the statistics of each."""

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
    RUN,
    SINGLE,
    SINGLE_SEED,
    SPARE_MARKERS,
    Style,
    add_legend,
    break_lines,
    dress_depth,
    explain,
    list_run_maps,
    printed,
    style_of,
    title_of,
)

PAIR = ["comparison", "allocation", "sparsity", "reference", "reference_sparsity", "map"]
DASHES = ("-", ":", "--", "-.")


@printed()
def plot_cross_configuration(cross_configuration: pd.DataFrame) -> Figure:
    """Plot figure 6: the cosine of two runs' biases by layer, with that of random directions.

    A panel per sparsity: allocations with one another, and an allocation with itself under another
    seed. Then a panel per allocation: the same allocation and seed at two sparsities.

    Args:
        cross_configuration: `cross_configuration.csv` of the study.
    """
    if cross_configuration.empty:
        return plot_nothing("no two runs share a site")
    table = mark_first_pairs(cross_configuration)
    across = table["comparison"] == "sparsity"
    at_one, at_two = [], []
    for (sparsity, name), pairs in table[~across].groupby(["sparsity", "map"]):
        at_one.append((f"{100 * sparsity:g} %", name, pairs))
    for (allocation, name), pairs in table[across].groupby(["allocation", "map"], sort=False):
        at_two.append((f"{allocation}, two sparsities", name, pairs))
    figure, axes = make_panels([at_one, at_two])
    dashes = choose_dashes(table)
    lowest = min(0, table["cosine"].min(), -table["null_95"].max())
    for ax, (title, name, pairs) in zip(axes, at_one + at_two, strict=True):
        plot_agreement(ax, pairs, sorted(table["layer"].unique()), dashes)
        if table["map"].nunique() > 1:
            title = f"{title}, {name}"
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


def mark_first_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs with a column `first`.

    It says whether both runs have the smallest seed among pairs of the same two configurations.
    """
    groups = pairs.groupby(PAIR)
    first = pairs["seed"] == groups["seed"].transform("min")
    first &= pairs["reference_seed"] == groups["reference_seed"].transform("min")
    return pairs.assign(first=first)


def make_panels(blocks: list[list]) -> tuple[Figure, list[Axes]]:
    """Make a figure with one panel per element of the blocks, in order.

    A block begins on a new line. All panels share y.
    """
    lines = [line for block in blocks for line in break_lines(block)]
    columns = max(map(len, lines))
    size = (SINGLE if columns == 1 else DOUBLE, 0.9 + 1.65 * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(len(lines), columns)
    axes: list[Axes] = []
    for row, line in enumerate(lines):
        below = len(lines[row + 1]) if row + 1 < len(lines) else 0
        for column in range(len(line)):
            ax = figure.add_subplot(grid[row, column], sharey=axes[0] if axes else None)
            ax.tick_params(labelleft=column == 0)
            if column == 0:
                ax.set_ylabel("cosine of biases")
            if column >= below:
                ax.set_xlabel("layer")
            axes.append(ax)
    return figure, axes


def plot_agreement(ax: Axes, pairs: pd.DataFrame, layers: list, dashes: dict) -> None:
    """Plot every pair of a panel as a line over the layers.

    Behind it lies, per layer, the range that holds 95 % of random directions.
    """
    ax.axhline(0, color=MUTED, lw=0.6, zorder=1.6)
    for layer, null in pairs.groupby("layer")["null_95"].max().items():
        ax.bar(layer, 2 * null, bottom=-null, width=1, color=FAINT, gid="null")
    for _, pair in pairs.groupby([*PAIR, "seed", "reference_seed"], sort=False):
        plot_pair(ax, pair.sort_values("layer"), dashes[kind_of(pair.iloc[0])])
    dress_depth(ax, layers)
    ax.set_xlim(layers[0] - 0.5, layers[-1] + 0.5)
    ax.yaxis.set_major_locator(MaxNLocator(6))


def plot_pair(ax: Axes, pair: pd.DataFrame, dashes: str) -> None:
    """Plot one pair of runs over the layers, smaller if it is of further seeds."""
    row = pair.iloc[0]
    size = MAIN if row["first"] else SINGLE_SEED
    looks = {"ms": size["ms"] - 1, "lw": 0.8 * size["lw"], **look_of(row, dashes)}
    ax.plot("layer", "cosine", data=pair, gid=row["comparison"], **looks)


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
    if not table["first"].all():
        handles.append(explain("further seed", **SINGLE_SEED))
    return [*handles, explain("random direction, 95 %", color=FAINT, marker="s", ms=6)]


@printed()
def plot_bias_statistics(bias_statistics: pd.DataFrame, norm_ranking: pd.DataFrame) -> Figure:
    """Plot figure 7: four statistics of every bias against its layer.

    They are its norm, excess kurtosis, share of positive entries, and largest entry. Behind them
    lies what normal numbers would show: the 95 % range of their kurtosis, and one half for the
    signs. The kurtosis as published, which divides by a number that is too large, is plotted as
    small crosses.

    Args:
        bias_statistics: `bias_statistics.csv` of every run that is analysed.
        norm_ranking: `norm_ranking.csv` of the study; only runs of the other table are plotted.
    """
    boundary = norm_ranking[[*RUN, "site", "boundary"]]
    table = bias_statistics.merge(boundary, on=[*RUN, "site"], how="left")
    assert len(table) == len(bias_statistics), (
        f"{len(table)} rows of {len(bias_statistics)} biases"
    )
    run_maps = list_run_maps(table)
    figure = Figure(figsize=(DOUBLE, 4.4), layout="constrained")
    axes = figure.subplots(2, 2)
    plot_null(axes[0, 1], table)
    axes[1, 0].axhline(50, color=MUTED, lw=0.8, zorder=1.6)
    step = min(0.24, 0.7 / len(run_maps))
    for number, run_map in enumerate(run_maps):
        biases = table[(table[[*RUN, "map"]] == list(run_map)).all(axis=1)].sort_values("layer")
        offset = step * (number - (len(run_maps) - 1) / 2)
        plot_statistics(axes, biases, style_among(run_map, run_maps), offset)
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
    add_legend(figure, explain_statistics(run_maps))
    return figure


def style_among(run_map: tuple, run_maps: list[tuple]) -> Style:
    """Return the style of a run and map in panels that it shares with `run_maps`.

    The first of an allocation has the allocation's style; further ones differ in marker alone.
    """
    allocation = run_map[0]
    style = style_of(allocation)
    number = [other for other in run_maps if other[0] == allocation].index(run_map)
    if number == 0:
        return style
    spare = [marker for marker in SPARE_MARKERS if marker != style.marker]
    return style._replace(marker=spare[(number - 1) % len(spare)])


def plot_null(ax: Axes, table: pd.DataFrame) -> None:
    """Plot, per layer, the range that holds the kurtosis of as many normal numbers."""
    ax.use_sticky_edges = False  # or the range would end the axis, and cut points in two
    for layer, sites in table.groupby("layer"):
        low, high = sites["kurtosis_null_low"].min(), sites["kurtosis_null_high"].max()
        ax.bar(layer, high - low, bottom=low, width=1, color=FAINT, gid="null")
    ax.axhline(0, color=MUTED, lw=0.6, zorder=1.6)


def plot_statistics(axes: Any, biases: pd.DataFrame, style: Style, offset: float) -> None:
    """Plot one run and map in all four panels.

    Args:
        axes: The panels [2, 2]: norm and kurtosis, positive entries and largest entry.
        biases: A row per bias, ascending by layer.
        offset: Layers by which its points stand beside the layer, so that those of other runs do
            not hide them; norms, which are lines, stand at their layer.
    """
    (norm, kurtosis), (positive, largest) = axes
    looks = {"color": style.colour, "marker": style.marker, "ms": MAIN["ms"] - 1}
    hollow = {**looks, "mfc": "white"}

    layer, norms = biases["layer"], biases["l2_norm"]
    norm.plot(layer, norms, lw=0.8, gid="norm", **looks)
    edge = biases["boundary"].eq(True)  # missing where the ranking lacks the run
    norm.plot(layer[edge], norms[edge], ls="", gid="boundary", **hollow)

    x = layer + offset
    kurtosis.plot(x, biases["excess_kurtosis"], ls="", gid="kurtosis", **looks)
    crosses = {"color": style.colour, "marker": "x", "ms": SINGLE_SEED["ms"], "ls": ""}
    kurtosis.plot(x + 0.11, biases["kurtosis_as_published"], gid="as published", **crosses)

    for at, bias in zip(x, biases.itertuples(), strict=True):
        interval = (100 * bias.positive_low, 100 * bias.positive_high)
        positive.plot((at, at), interval, color=style.colour, lw=MAIN["lw"], gid="interval")
    positive.plot(x, 100 * biases["positive_fraction"], ls="", gid="positive", **looks)

    size, outlying = biases["max_abs"] / biases["std"], biases["outliers"] > 0
    largest.plot(x, size, ls="", gid="largest", **hollow)
    largest.plot(x[outlying], size[outlying], ls="", gid="outlier", **looks)


def explain_statistics(run_maps: list[tuple]) -> list[Line2D]:
    """Make the legend of figure 7: the runs, and what its marks mean."""
    handles = []
    for run_map in run_maps:
        style = style_among(run_map, run_maps)
        title = title_of(run_map, run_maps)
        handles.append(explain(title, color=style.colour, marker=style.marker))
    return [
        *handles,
        explain("norm: edge of the allocation", mfc="white"),
        explain("kurtosis as published", marker="x", ms=SINGLE_SEED["ms"]),
        explain("kurtosis of normal numbers, 95 %", color=FAINT, marker="s", ms=6),
        explain("positive: 95 % interval", marker="", ls="-"),
        explain("largest: outliers by median, MAD", ms=MAIN["ms"] - 1),
        explain("largest: no outliers", mfc="white", ms=MAIN["ms"] - 1),
    ]
