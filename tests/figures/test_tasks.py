"""Figure 10 has a row per allocation, and a hollow mark for TEAL with a temperature."""

import pandas as pd
import pytest

from spon.figures import tasks
from spon.figures.style import style_of

COLUMNS = ["allocation", "scope", "sparsity", "seed", "temperature", "value"]
COLUMNS += ["difference_dense", "error_dense"]
ROWS = [
    ("DENSE", None, 0.0, None, 1.0, 0.5, None, None),
    ("BASELINE-TEAL", "mlp", 0.5, None, 1.0, 0.4, -0.1, 0.02),
    ("BASELINE-TEAL", "mlp", 0.5, None, 1.3, 0.45, -0.05, 0.02),
    ("UNIF-ALL", "mlp", 0.5, 0, 1.0, 0.48, -0.02, 0.01),
]


def make(*metrics):
    parts = [
        pd.DataFrame(ROWS, columns=COLUMNS).assign(task="mine", metric=metric, documents=9)
        for metric in metrics
    ]
    return pd.concat(parts).astype({"difference_dense": float, "error_dense": float})


def marks_of(ax, name):
    return [line for line in ax.lines if line.get_gid() == name]


def test_a_mark_is_the_difference_from_dense_and_its_bar_two_errors_to_either_side():
    (ax,) = tasks.plot_tasks(make("acc")).axes
    (run,) = marks_of(ax, "UNIF-ALL")
    assert run.get_xdata()[0] == -0.02
    bars = [line.get_xdata() for line in marks_of(ax, "interval")]
    assert bars[-1] == pytest.approx([-0.02 - 0.0196, -0.02 + 0.0196])


def test_teal_with_a_temperature_is_hollow_and_below_teal():
    (ax,) = tasks.plot_tasks(make("acc")).axes
    plain, tempered = marks_of(ax, "BASELINE-TEAL")
    colour = style_of("BASELINE-TEAL").colour
    assert [mark.get_markerfacecolor() for mark in (plain, tempered)] == [colour, "white"]
    assert plain.get_ydata()[0] < tempered.get_ydata()[0]


def test_each_metric_has_a_block_and_of_many_the_first_are_plotted():
    assert len(tasks.plot_tasks(make("acc", "nll_nats")).axes) == 2
    many = make(*(f"metric {number}" for number in range(tasks.MOST + 3)))
    assert len(tasks.plot_tasks(many).axes) == tasks.MOST
