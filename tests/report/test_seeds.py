"""Which rows of a table over seeds count."""

import pandas as pd

from spon.report import seeds

ROWS = pd.DataFrame(
    [("A", 0, 1, 1.0), ("A", 1, 1, 3.0), ("A", None, 2, 2.0), ("B", 0, 1, 5.0)],
    columns=["allocation", "seed", "seeds", "value"],
)


def test_the_mean_over_trainings_counts_or_the_only_training():
    assert seeds.keep_counting(ROWS, ["allocation"])["value"].tolist() == [2.0, 5.0]


def test_evaluations_are_averaged_over_their_trainings_and_a_baseline_is_left_as_it_is():
    places = {"scope": ["", "down_proj", "down_proj"], "sparsity": [0.0, 0.5, 0.5]}
    table = pd.DataFrame(
        {"allocation": ["DENSE", "A", "A"], **places, "seed": [None, 0, 1], "nll": [2.0, 2.4, 2.6]}
    )
    means = seeds.average_seeds(table)
    assert means["allocation"].tolist() == ["DENSE", "A"]
    assert means["seeds"].tolist() == [0, 2]
    assert means["nll"].tolist() == [2.0, 2.5]


def test_single_trainings_are_listed_only_if_there_are_several():
    assert seeds.say_each([6.5, 6.16], 1) == "6.5, 6.2"
    assert seeds.say_each([6.5], 1) == ""


def test_trainings_are_counted_in_words():
    assert seeds.say_trainings([3, 3]) == "3 trainings"
    assert seeds.say_trainings([0, 1]) == "1 training"
    assert seeds.say_trainings([3, 1]) == "1 or 3 trainings"
    assert seeds.say_trainings([0]) == "n/a"
