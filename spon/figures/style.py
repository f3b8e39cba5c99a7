"""The look of all figures: widths, fonts, how an allocation is drawn, and saving to the same bytes on every call."""

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

SINGLE, DOUBLE = 3.35, 6.9  # inches: the column widths that the figures are printed at
PER_LINE = 3  # panels side by side
TOGETHER = 1.5  # how far right of the last layer all sites together stand
RUN = ["allocation", "sparsity", "seed"]
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
    **{
        f"{axis}tick.major.{key}": value
        for axis in "xy"
        for key, value in (("width", 0.6), ("size", 2.5))
    },
}
FIRST, FURTHER, BESIDE = (
    {"ms": 4.5, "lw": 1.1},
    {"ms": 2.6, "lw": 0.6},
    0.32,
)  # further seeds: small and lower

# Ordered by lightness (CIE L* 15 to 72), so that grey prints keep the order; apart under the three colour blindnesses.
COLOURS = ("#1c1c5e", "#7b1e57", "#0069a8", "#d55e00", "#2ba583", "#dfa62a")
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----")
SPARE_MARKERS = ("p", "<", ">", "d", "h", "*")  # each has a face, so that it can be hollow


class Style(NamedTuple):
    """How one allocation looks in every figure: by colour, and without colour by marker or hatch."""

    colour: str
    marker: str
    hatch: str


STYLES = {
    "DENSE": Style(INK, "8", ""),
    "BASELINE-TEAL": Style(MUTED, "X", ""),
    "UNIF-ALL": Style(COLOURS[0], "s", HATCHES[0]),
    "TOP-75": Style(COLOURS[1], "^", HATCHES[1]),
    "TOP-50": Style(COLOURS[3], "o", HATCHES[3]),
    "BOTTOM-50": Style(COLOURS[5], "v", HATCHES[5]),
    "ATTN-ONLY": Style(COLOURS[2], "D", HATCHES[2]),
    "ALL-DOWN": Style(COLOURS[4], "P", HATCHES[4]),
    # Controls learn nothing: no colour, and a step lighter than TEAL, which they are held against.
    "MEAN-DOWN": Style(CONTROL, "d", "++++"),
    "MEAN-ATTN": Style(CONTROL, "p", "oooo"),
    "RANDOM-DOWN": Style(CONTROL, "<", "****"),
    "RANDOM-ATTN": Style(CONTROL, ">", "OOOO"),
}


def style_of(allocation: str) -> Style:
    """The look of an allocation, from its name alone, whatever else is swept; two that `STYLES` lacks can be alike."""
    if allocation in STYLES:
        return STYLES[allocation]
    rest, colour = divmod(zlib.crc32(allocation.encode()), len(COLOURS))
    return Style(COLOURS[colour], SPARE_MARKERS[rest % len(SPARE_MARKERS)], HATCHES[colour])


@contextmanager
def printed() -> Iterator[None]:
    """Our look and nothing of the user's matplotlibrc; ticks are made late, so saving needs it as much as drawing."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(LOOK)
        yield


@printed()
def save(figure: Figure, png: str | Path, pdf: str | Path, metadata: dict[str, str]) -> None:
    """Write a figure as PNG (300 dpi) and PDF, byte for byte the same on every call.

    Args:
        metadata: What the figure stands for: text chunks of the PNG, and one JSON object in the PDF's Keywords.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine(
        "none"
    )  # a layout that is solved again settles elsewhere: other bytes
    figure.savefig(png, metadata={"Software": None, **metadata})
    undated = dict.fromkeys(("Creator", "Producer", "CreationDate"))
    figure.savefig(pdf, metadata={**undated, "Keywords": json.dumps(metadata, sort_keys=True)})


def plot_run(
    ax: Axes, x: float, y: float, run: Any, span: tuple = (), face: str | None = None
) -> None:
    """One run as a point in its allocation's style, smaller if it is a further seed, with its interval along x."""
    style, size = style_of(run.allocation), FIRST if run.first else FURTHER
    if span:
        ax.plot(
            span, (y, y), color=style.colour, lw=size["lw"], solid_capstyle="butt", gid="interval"
        )
    looks = {"marker": style.marker, "mec": style.colour, "mfc": face or style.colour}
    ax.plot(x, y, ls="", ms=size["ms"], gid=run.allocation, **looks)


def mark_first_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with `first`: whether no smaller seed of the same allocation and sparsity is among them."""
    seeds = runs.fillna({"seed": 0}).groupby(["allocation", "scope", "sparsity"], dropna=False)[
        "seed"
    ]
    return runs.assign(first=runs["seed"].fillna(0) == seeds.transform("min"))


def dress_rows(ax: Axes, names: list[str]) -> None:
    """A dot plot's axis: the rows' names from the top down, no line beside them."""
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="x")


def explain(label: str, **looks: Any) -> Line2D:
    """An entry of a legend: a point, unless told otherwise."""
    return Line2D(
        [], [], label=label, **{"color": INK, "ls": "", "marker": "o", "ms": FIRST["ms"], **looks}
    )


def add_legend(figure: Figure, handles: list[Line2D], runs: pd.DataFrame) -> None:
    """The legend of a figure of runs; it explains further seeds where there are any."""
    place_legend(
        figure, handles + [explain("further seed", **FURTHER)] * (not runs["first"].all())
    )


def place_legend(figure: Figure, handles: list[Line2D]) -> None:
    """One legend under all panels, in as many columns as fit."""
    widest = max(len(handle.get_label()) for handle in handles)
    columns = max(1, int(figure.get_figwidth() / (0.45 + 0.055 * widest)))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)))


def list_columns(table: pd.DataFrame) -> list[tuple]:
    """The runs of a table, each as often as it has maps: `(allocation, sparsity, seed, map)`."""
    sites = table[table["map"].notna()]
    return list(sites[[*RUN, "map"]].drop_duplicates().itertuples(index=False, name=None))


def title_of(column: tuple, columns: list[tuple]) -> str:
    """What sets a run and map apart from the others of the figure: its allocation, and what differs among them."""
    allocation, sparsity, seed, name = column
    distinct = [len({other[place] for other in columns}) > 1 for place in range(4)]
    parts = (
        [f"{100 * sparsity:g} %"] * distinct[1]
        + [f"seed {seed:g}"] * distinct[2]
        + [name] * distinct[3]
    )
    return ", ".join([allocation, *parts])


def select(table: pd.DataFrame, column: tuple) -> pd.DataFrame:
    """The rows of one run and map; those that belong to no map (residual stream, all sites) are the run's."""
    run = (table[RUN] == list(column[:3])).all(axis=1)
    return table[run & (table["map"].isna() | (table["map"] == column[3]))]


def make_grid(columns: list[tuple], rows: int, height: float, below: float) -> tuple[Figure, dict]:
    """A figure, and by run and map its panels from the top down, sharing y along a row; runs go on below `PER_LINE`.

    Args:
        height: Inches of a row of panels.
        below: Inches for the legend.
    """
    lines = [columns[i : i + PER_LINE] for i in range(0, len(columns), PER_LINE)]
    size = (SINGLE if len(columns) == 1 else DOUBLE, below + height * rows * len(lines))
    figure = Figure(figsize=size, layout="constrained")
    grid, panels = figure.add_gridspec(rows * len(lines), len(lines[0])), {}
    for number, line in enumerate(lines):
        for place, column in enumerate(line):
            firsts = panels.get(line[0], [None] * rows)
            cells = [grid[number * rows + row, place] for row in range(rows)]
            panels[column] = [
                figure.add_subplot(cell, sharey=first)
                for cell, first in zip(cells, firsts, strict=True)
            ]
            panels[column][0].set_title(title_of(column, columns))
            panels[column][-1].set_xlabel("layer")
    figure.align_ylabels()
    return figure, panels


def dress_depth(ax: Axes, layers: list, together: bool = False) -> None:
    """An axis of layers, at most nine of them named, and at its right, where asked for, all of them together."""
    ticks, places = layers[:: 1 + (len(layers) - 1) // 9], [layers[-1] + TOGETHER] * together
    ax.set_xticks([*ticks, *places], [*(f"{layer:g}" for layer in ticks), *["all"] * together])
    ax.grid(axis="y")
