"""Figure of what runs win back on several texts."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spon.figures.outcomes import choose_window, list_names, make_columns
from spon.figures.style import (
    FAINT,
    KEYS,
    MAIN,
    MUTED,
    add_legend,
    explain,
    mark_single_seeds,
    plot_run,
    printed,
    style_of,
)

TITLES = {"kl": "KL divergence from the dense model", "nll": "Log-likelihood"}
# Inside the markers of the texts, the first text first; None is the allocation's own colour.
FACES = (None, "white", FAINT)
ROW = 0.6  # of a row's height, which the texts of a run share


@printed()
def plot_other_text(texts: pd.DataFrame) -> Figure:
    """Plot figure 9: the share of TEAL's damage that each run wins back on every text.

    Of several trainings their mean stands for them, whose interval covers their spread.

    Args:
        texts: `tables/texts.csv`.
    """
    runs = mark_single_seeds(texts[texts["measure"].isin(TITLES)])
    names, read = list_names(runs), list(runs["text"].unique())
    runs = runs[~runs["single"]]
    rows = [(scope, name) for scope in names for name in ["", *names[scope]]]
    inches = 0.085 + 0.05 * len(read)
    figure, blocks = make_columns(rows, sorted(runs["sparsity"].unique()), TITLES, inches)
    for measure, panels in blocks.items():
        of_measure = runs[runs["measure"] == measure]
        window = choose_window(of_measure)
        for sparsity, ax in panels.items():
            for key, on_texts in of_measure[of_measure["sparsity"] == sparsity].groupby(KEYS):
                plot_pair(ax, rows.index((key[1], key[0])), on_texts, read, window)
            ax.set(xlim=window, xlabel="damage recovered (%)")
    add_legend(figure, explain_texts(read))
    return figure


def place_text(text: int, texts: int) -> float:
    """Return where a text of so many stands in a row, which is 1 high, below its middle."""
    return ROW * ((text + 0.5) / texts - 0.5)


def plot_pair(
    ax: Axes, row: int, runs: pd.DataFrame, read: list[str], window: tuple[float, float]
) -> None:
    """Plot what a run wins back on each text; without an interval it is not applicable.

    Args:
        runs: The rows of the run, one per text.
        read: All texts, in their order.
        window: The limits of x.
    """
    known = runs[runs["low"].notna()]
    for run in known.itertuples():
        text = read.index(run.text)
        plot_on_text(ax, row + place_text(text, len(read)), run, text, window)
    missing = [name for name in read if name not in set(known["text"])]
    if missing:
        where = "no damage shown" if known.empty else f"on {', '.join(missing)}"
        plate = {"fc": "white", "ec": "none", "pad": 1}
        words = {"color": MUTED, "va": "center", "bbox": plate, "gid": "missing"}
        ax.text(0.02, row, f"n/a ({where})", transform=ax.get_yaxis_transform(), **words)


def plot_on_text(ax: Axes, y: float, run: Any, text: int, window: tuple[float, float]) -> None:
    """Plot what a run wins back on a text, with an arrowhead where its interval is cut.

    Args:
        text: Its number, 0 for the first.
        window: The limits of x.
    """
    left, right = window
    face = FACES[text % len(FACES)]
    plot_run(ax, run.recovery_percent, y, run, (max(run.low, left), min(run.high, right)), face)
    arrowhead = {"ms": 3, "color": style_of(run.allocation).colour, "clip_on": False, "gid": "cut"}
    if run.low < left:
        ax.plot(left, y, "<", **arrowhead)
    if run.high > right:
        ax.plot(right, y, ">", **arrowhead)


def explain_texts(names: list[str]) -> list:
    """Return the legend: which face each text has."""
    first, *further = names
    return [
        explain(f"on {first}; bar: 95 % interval", ls="-", **MAIN),
        *(
            explain(f"on {name}", ls="-", mfc=FACES[number % len(FACES)], **MAIN)
            for number, name in enumerate(further, 1)
        ),
    ]
