"""Figure of tasks: what sparsity and biases change, document by document."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spon.figures.levels import DENSE, TEAL
from spon.figures.outcomes import list_names, make_columns
from spon.figures.style import (
    BESIDE,
    MAIN,
    PER_LINE,
    add_legend,
    explain,
    plot_run,
    printed,
)

# Standard errors to either side that a bar shows.
ERRORS = 1.96
# A group such as MMLU has dozens of tasks; the table has the rest.
MOST = 12


@printed()
def plot_tasks(tasks: pd.DataFrame) -> Figure:
    """Plot figure 10: every model's difference from the dense one, in each task and metric.

    Args:
        tasks: `tables/tasks.csv`, of which the first tasks and metrics are plotted.
    """
    models = tasks.assign(measure=tasks["task"] + ", " + tasks["metric"], single=False)
    dense, models = models[models["allocation"] == DENSE], models[models["allocation"] != DENSE]
    titles = {one.measure: describe(one) for one in dense.head(MOST).itertuples()}
    names = list_names(models)
    rows = [(scope, name) for scope in names for name in ["", *names[scope]]]
    figure, blocks = make_columns(rows, sorted(models["sparsity"].unique()), titles)
    for measure, panels in blocks.items():
        of_measure = models[models["measure"] == measure]
        for sparsity, ax in panels.items():
            here = of_measure[of_measure["sparsity"] == sparsity]
            for place, in_row in here.groupby(["scope", "allocation"], sort=False):
                plot_models(ax, rows.index(place), in_row)
        share_window(list(panels.values()))
    add_legend(
        figure,
        [
            explain("model as it is; bar: 95 % interval over documents", ls="-", **MAIN),
            explain("TEAL at its own temperature", mfc="white"),
        ],
    )
    return figure


def describe(dense: Any) -> str:
    """Return the title of a task and metric, with what the dense model has."""
    return f"{dense.measure} (dense {dense.value:.4g}, {dense.documents} documents)"


def plot_models(ax: Axes, row: int, models: pd.DataFrame) -> None:
    """Plot the models of one row: the seeds of a run, or TEAL with and without a temperature."""
    for number, model in enumerate(models.itertuples()):
        plot_model(ax, row + BESIDE * (number / max(1, len(models) - 1)), model)


def plot_model(ax: Axes, y: float, model: Any) -> None:
    """Plot the difference of one model from the dense one; hollow if it has a temperature."""
    half = ERRORS * model.error_dense
    span = (model.difference_dense - half, model.difference_dense + half)
    is_tempered = model.allocation == TEAL and model.temperature != 1
    plot_run(ax, model.difference_dense, y, model, span, "white" if is_tempered else None)


def share_window(panels: list[Axes]) -> None:
    """Give panels the same limits of x, and say what it is."""
    low = min(ax.get_xlim()[0] for ax in panels)
    high = max(ax.get_xlim()[1] for ax in panels)
    for number, ax in enumerate(panels):
        ax.set(xlim=(low, high))
        if number >= len(panels) - PER_LINE:
            ax.set_xlabel("difference from dense")
