"""Give all figures one look: widths, fonts, a style per allocation; and save them reproducibly."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

SINGLE, DOUBLE = 3.35, 6.9  # inches: the column widths that the figures are printed at
PER_LINE = 3  # panels side by side
TOGETHER = 1.5  # layers by which the point of all sites together stands right of the last layer
RUN = ["allocation", "sparsity", "seed"]
KEYS = ["allocation", "scope", "sparsity"]  # what all seeds of a run share
INK, MUTED, CONTROL, FAINT = "#1a1a1a", "#6b6b6b", "#8c8c8c", "#dcdcdc"
LOOK = {
    "figure.dpi": 300,
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "lines.markeredgewidth": 0.7,
    "pdf.fonttype": 42,
    "xtick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.width": 0.6,
    "ytick.major.size": 2.5,
}
MAIN = {"ms": 4.5, "lw": 1.1}  # sizes of the point and line of a run, or of the mean of several
SINGLE_SEED = {"ms": 2.2, "lw": 0.6}  # those of one seed of several: smaller
BESIDE = 0.34  # rows by which single seeds stand below their mean

# Ordered by lightness (CIE L* 15 to 72), so that grey prints keep the order, and chosen to stay
# apart under the three colour blindnesses.
COLOURS = ("#1c1c5e", "#7b1e57", "#0069a8", "#d55e00", "#2ba583", "#dfa62a")
SPARE_MARKERS = ("p", "<", ">", "d", "h")  # each has a face, so that it can be hollow


class Style(NamedTuple):
    """The look of one allocation in every figure.

    The marker, a name or a polygon of matplotlib's, tells allocations apart where colour cannot:
    in grey prints.
    """

    colour: str
    marker: Any


STYLES = {
    "DENSE": Style(INK, "8"),
    "BASELINE-TEAL": Style(MUTED, "X"),
    "UNIF-ALL": Style(COLOURS[0], "s"),
    "TOP-75": Style(COLOURS[1], "^"),
    "TOP-50": Style(COLOURS[3], "o"),
    "BOTTOM-50": Style(COLOURS[5], "v"),
    "ATTN-ONLY": Style(COLOURS[2], "D"),
    "ALL-DOWN": Style(COLOURS[4], "P"),
    "ALL-ATTN": Style(COLOURS[2], "H"),
    "ALL-ALL": Style(COLOURS[1], "*"),
    # What is not trained has no colour, and is a step lighter than TEAL, which it is held against.
    "MEAN-DOWN": Style(CONTROL, "d"),
    "MEAN-ATTN": Style(CONTROL, "p"),
    "FISHER-DOWN": Style(CONTROL, "h"),
    "FISHER-ATTN": Style(CONTROL, (5, 0, 180)),
    "MODE-DOWN": Style(CONTROL, (4, 1, 0)),
    "MODE-ATTN": Style(CONTROL, (4, 1, 45)),
    "RANDOM-DOWN": Style(CONTROL, "<"),
    "RANDOM-ATTN": Style(CONTROL, ">"),
}


SCOPES = {"all": "whole model"}  # what a scope is called if not by the names of its maps


def say_scope(scope: str, sparsity: float | None = None) -> str:
    """Return a scope in words, with its sparsity: `down_proj, 50 %`."""
    name = SCOPES.get(scope, scope)
    return name if sparsity is None else f"{name}, {100 * sparsity:g} %"


def style_of(allocation: str) -> Style:
    """Return the style of an allocation.

    It follows from the name alone, so it is the same whatever else is swept. Two allocations that
    are not in `STYLES` can get the same style.
    """
    if allocation in STYLES:
        return STYLES[allocation]
    rest, colour = divmod(zlib.crc32(allocation.encode()), len(COLOURS))
    return Style(COLOURS[colour], SPARE_MARKERS[rest % len(SPARE_MARKERS)])


@contextmanager
def printed() -> Iterator[None]:
    """Apply `LOOK` to matplotlib's defaults, without the settings of the user's matplotlibrc.

    Saving needs it as much as plotting does: matplotlib makes ticks only when it saves.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        yield


@printed()
def save(figure: Figure, png: str | Path, pdf: str | Path, metadata: dict[str, str]) -> None:
    """Write a figure as PNG (300 dpi) and PDF, byte for byte the same on every call.

    Args:
        metadata: What the figure was made from. Each entry becomes a text chunk of the PNG; the
            PDF's Keywords hold them all as one JSON object.
    """
    figure.draw_without_rendering()
    # A layout that is solved a second time settles elsewhere, which would change the bytes.
    figure.set_layout_engine("none")
    for ax in figure.axes:
        # The last digits of the solution are not the same on every call.
        ax.set_position(np.round(ax.get_position().bounds, 6))
    figure.savefig(png, metadata={"Software": None, **metadata})
    undated = dict.fromkeys(("Creator", "Producer", "CreationDate"))
    figure.savefig(pdf, metadata={**undated, "Keywords": json.dumps(metadata, sort_keys=True)})


def plot_run(
    ax: Axes, x: float, y: float | int, run: Any, span: tuple = (), face: str | None = None
) -> None:
    """Plot one run as a point in its allocation's style; one seed of several is small.

    Args:
        run: A row with `allocation` and `single`; a single seed has no interval.
        span: Lower and upper end of the run's interval along x; empty for none.
        face: Colour inside the marker; None for the allocation's own.
    """
    style = style_of(run.allocation)
    size = SINGLE_SEED if run.single else MAIN
    if span and not run.single:
        line = {"color": style.colour, "lw": size["lw"], "solid_capstyle": "butt"}
        ax.plot(span, (y, y), gid="interval", **line)
    marker = {"marker": style.marker, "mec": style.colour, "mfc": face or style.colour}
    ax.plot(x, y, ls="", ms=size["ms"], gid=run.allocation, **marker)


def mark_single_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with a column `single`: whether a row is of one seed of several.

    So it is where the mean over the seeds of its allocation, scope and sparsity, which has no
    seed, is in the table too.
    """
    groups = runs.assign(mean=runs["seed"].isna()).groupby(KEYS, dropna=False)
    return runs.assign(single=runs["seed"].notna() & groups["mean"].transform("any"))


def dress_rows(ax: Axes, names: list[str]) -> None:
    """Make y the axis of a dot plot: named rows from the top down, without a line beside them."""
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def explain(label: str, **looks: Any) -> Line2D:
    """Make an entry of a legend: a dark point, unless `looks` says otherwise."""
    point = {"color": INK, "ls": "", "marker": "o", "ms": MAIN["ms"]}
    return Line2D([], [], label=label, **{**point, **looks})


def add_run_legend(figure: Figure, handles: list[Line2D], runs: pd.DataFrame) -> None:
    """Add the legend of a figure of runs, with an entry for single seeds if there are any."""
    if runs["single"].any():
        handles = [*handles, explain("single seed", **SINGLE_SEED)]
    add_legend(figure, handles)


def add_legend(figure: Figure, handles: list[Line2D]) -> None:
    """Add one legend under all panels, in as many columns as fit."""
    longest = max(len(handle.get_label()) for handle in handles)
    columns = max(1, int(figure.get_figwidth() / (0.45 + 0.055 * longest)))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)))


def break_lines(panels: list, per_line: int = PER_LINE) -> list[list]:
    """Split a list of panels into lines of at most `per_line`."""
    return [panels[start : start + per_line] for start in range(0, len(panels), per_line)]


def list_run_maps(table: pd.DataFrame) -> list[tuple]:
    """List the runs of a table, each once per map: `(allocation, sparsity, seed, map)`."""
    sites = table[table["map"].notna()]
    return list(sites[[*RUN, "map"]].drop_duplicates().itertuples(index=False, name=None))


def title_of(run_map: tuple, run_maps: list[tuple], between: str = ", ") -> str:
    """Return the title of a run and map: `TOP-50, 50 %, seed 0`.

    Args:
        run_map: `(allocation, sparsity, seed, map)`, one of `run_maps`.
        run_maps: All runs and maps of the figure; the map is named where a run has several.
        between: What stands between the allocation, its sparsity and seed, and the map.
    """
    *run, name = run_map
    allocation, sparsity, seed = run
    maps = [other for *of_run, other in run_maps if of_run == run]
    assert name in maps, f"{run_map} is not among the figure's runs and maps: {run_maps}"
    parts = [allocation, f"{100 * sparsity:g} %, seed {seed:g}"]
    return between.join([*parts, name] if len(maps) > 1 else parts)


def select(table: pd.DataFrame, run_map: tuple) -> pd.DataFrame:
    """Return the rows of a run and map, and the rows of the run that belong to no map.

    The latter are those of the residual stream and of all sites together.
    """
    *run, name = run_map
    of_run = (table[RUN] == run).all(axis=1)
    return table[of_run & (table["map"].isna() | (table["map"] == name))]


def make_grid(
    titles: dict[tuple, str],
    rows: int,
    height: float,
    below: float,
    per_line: int,
    apart: tuple[int, ...] = (),
) -> tuple[Figure, dict]:
    """Make a figure with titled columns of panels, some of them side by side.

    Args:
        titles: Of the columns, by what they show.
        rows: Panels of each column.
        height: Inches of a row of panels.
        below: Inches for the legend.
        per_line: Columns side by side, at most.
        apart: Rows whose panels have scales of their own; the others share y along a line.

    Returns:
        The figure, and the panels of each column from the top down.
    """
    lines = break_lines(list(titles), per_line)
    size = (SINGLE if len(titles) == 1 else DOUBLE, below + height * rows * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(rows * len(lines), len(lines[0]))
    panels: dict[tuple, list[Axes]] = {}
    for line_number, line in enumerate(lines):
        for column, key in enumerate(line):
            leftmost = panels.get(line[0], [None] * rows)
            axes = []
            for row in range(rows):
                cell = grid[line_number * rows + row, column]
                shared = None if row in apart else leftmost[row]
                ax = figure.add_subplot(cell, sharey=shared)
                ax.tick_params(labelleft=shared is None)
                axes.append(ax)
            axes[0].set_title(titles[key])
            axes[-1].set_xlabel("layer")
            panels[key] = axes
    figure.align_ylabels()
    return figure, panels


def dress_depth(ax: Axes, layers: list, together: bool = False, most: int = 9) -> None:
    """Make x the axis of layers, and name a few of them.

    Args:
        layers: All layers, ascending.
        together: Whether to name the point right of the last layer, of all sites together.
        most: About so many layers are named.
    """
    assert layers == sorted(layers), f"layers must ascend, got {layers}"
    step = 1 + (len(layers) - 1) // most
    ticks = layers[::step]
    names = [f"{layer:g}" for layer in ticks]
    if together:
        ticks = [*ticks, layers[-1] + TOGETHER]
        names.append("all")
    ax.set_xticks(ticks, names)
    ax.grid(axis="y")
