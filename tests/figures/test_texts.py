"""Figure 9 has a mark per run and text, one below the other."""

import numpy as np
import pandas as pd
import pytest

from spon.figures import style, texts

NAMES = {"scope": "down_proj", "sparsity": 0.5}


def make(*rows):
    columns = ["text", "allocation", "seed", "measure", "recovery_percent", "low", "high"]
    numbers = dict.fromkeys(columns[4:], float)
    return pd.DataFrame(rows, columns=columns).astype(numbers).assign(**NAMES)


TEXTS = make(
    ("first", "UNIF-ALL", 0, "kl", 40, 38, 42),
    ("first", "TOP-50", 0, "kl", 30, 28, 32),
    ("wiki", "UNIF-ALL", 0, "kl", 20, 15, 25),
    ("wiki", "TOP-50", 0, "kl", np.nan, np.nan, np.nan),
    ("first", "UNIF-ALL", 0, "nll", 10, -5000, 20),
    ("wiki", "UNIF-ALL", 0, "nll", 5, 1, 9),
)


def marks_of(ax, name):
    return [line for line in ax.lines if line.get_gid() == name]


def test_a_run_has_a_full_mark_on_the_first_text_and_a_hollow_one_below_on_another():
    by_kl, _ = texts.plot_other_text(TEXTS).axes
    first, other = marks_of(by_kl, "UNIF-ALL")
    assert (first.get_xdata()[0], other.get_xdata()[0]) == (40, 20)
    assert first.get_ydata()[0] < 1 < other.get_ydata()[0]  # the row below the scope's heading
    colour = style.style_of("UNIF-ALL").colour
    assert [mark.get_markerfacecolor() for mark in (first, other)] == [colour, "white"]


def test_a_text_without_damage_says_so_beside_the_other():
    by_kl, _ = texts.plot_other_text(TEXTS).axes
    assert len(marks_of(by_kl, "TOP-50")) == 1
    assert [text.get_text() for text in by_kl.texts] == ["n/a (on wiki)"]


def test_a_run_without_damage_on_any_text_says_so_once():
    nothing = TEXTS.assign(low=np.nan, high=np.nan, recovery_percent=np.nan)
    by_kl, _ = texts.plot_other_text(nothing).axes
    assert [text.get_text() for text in by_kl.texts] == ["n/a (no damage shown)"] * 2


def test_an_interval_that_would_hide_the_others_is_cut_with_an_arrowhead():
    _, by_likelihood = texts.plot_other_text(TEXTS).axes
    assert len(marks_of(by_likelihood, "cut")) == 1
    assert by_likelihood.get_xlim()[0] > -100


def test_of_several_trainings_their_mean_is_plotted_alone():
    seeds = [make(("first", "TOP-50", seed, "kl", x, 1, 9)) for seed, x in ((0, 4), (1, 6))]
    mean = make(("first", "TOP-50", np.nan, "kl", 5, 3, 7))
    one = make(("wiki", "TOP-50", np.nan, "kl", 2, 1, 3))
    figure = texts.plot_other_text(pd.concat([*seeds, mean, one], ignore_index=True))
    assert [mark.get_xdata()[0] for mark in marks_of(figure.axes[0], "TOP-50")] == [5, 2]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_texts_share_a_row_evenly_around_its_middle(count):
    places = [texts.place_text(text, count) for text in range(count)]
    assert sum(places) == pytest.approx(0)
    assert places == sorted(places)
    assert max(places) <= texts.ROW / 2
