import pandas as pd
import pytest

from spon.tables import trainings

RUN = {"allocation": "TOP-50", "scope": "down_proj", "sparsity": 0.5, "seed": 1}


def write_curve(path, rows):
    names = ["step", "epoch", "learning_rate", "kl_nats_per_token", "held_out_kl", "event"]
    pd.DataFrame(rows, columns=names).assign(**RUN).to_csv(path, index=False)
    return path


def test_a_training_is_a_row_of_what_it_won_and_whether_its_rule_ended_it(tmp_path):
    steps = [(step, 1, 0.02, 0.9, None, "") for step in range(1, 20)]
    steps[9] = (10, 1, 0.02, 0.9, 0.7, "rate lowered")
    steps[17] = (18, 1, 0.006, 0.9, 0.61, "")
    ended = [(0, 0, None, None, 1.0, ""), *steps, (20, 1, 0.006, 0.9, 0.6, "converged")]
    capped = [(0, 0, None, None, 1.0, ""), *steps[:18]]
    paths = [write_curve(tmp_path / f"{n}.csv", rows) for n, rows in enumerate((ended, capped))]
    table = trainings.tabulate_trainings(paths, "plateau", [RUN, RUN], False)
    first, second = table.to_dict("records")
    assert {name: first[name] for name in RUN} == RUN
    assert (first["steps"], first["converged"], first["worse"]) == (20, True, False)
    assert (first["learning_rate"], first["last_rate"]) == (0.02, 0.006)
    assert (first["held_out_kl_start"], first["held_out_kl"]) == (1.0, 0.6)
    assert round(first["won_percent"], 9) == 40
    # Of 0.4 that were won, 0.01 after step 18.
    assert round(first["last_tenth_percent"], 9) == 2.5
    assert (second["steps"], second["converged"]) == (18, False)
    # The last measurement before the last tenth is that of step 10.
    assert round(second["last_tenth_percent"], 6) == round(100 * 0.09 / 0.39, 6)


def test_a_fixed_length_leaves_open_whether_a_training_has_converged(tmp_path):
    curve = write_curve(
        tmp_path / "curve.csv", [(0, 0, None, None, 1.0, ""), (1, 1, 0.1, 0.9, 0.8, "")]
    )
    (row,) = trainings.tabulate_trainings([curve], "constant", [RUN], False).to_dict("records")
    assert pd.isna(row["converged"])
    assert (row["steps"], round(row["won_percent"], 9)) == (1, 20)


def test_a_training_that_ended_worse_than_it_began_is_marked(tmp_path):
    rows = [(0, 0, None, None, 0.005, ""), (1, 1, 1000.0, 0.9, 0.68, "worse")]
    curve = write_curve(tmp_path / "curve.csv", rows)
    for schedule, after in (("constant", 0.68), ("plateau", 0.005)):
        (row,) = trainings.tabulate_trainings([curve], schedule, [RUN], True).to_dict("records")
        assert (row["worse"], row["held_out_kl"]) == (True, after)


def test_trainings_that_ended_worse_than_they_began_are_refused_together_with_what_to_do(tmp_path):
    start, other = (0, 0, None, None, 0.005, ""), RUN | {"seed": 2}
    better = write_curve(tmp_path / "a.csv", [start, (1, 1, 0.1, 0.9, 0.004, "")])
    worse = write_curve(tmp_path / "b.csv", [start, (1, 1, 1000.0, 0.9, 0.68, "worse")])
    second = tmp_path / "c.csv"
    pd.read_csv(worse).assign(seed=2).to_csv(second, index=False)
    paths, runs = [better, worse, second], [RUN, RUN, other]
    with pytest.raises(ValueError) as caught:
        trainings.tabulate_trainings(paths, "plateau", runs, allow_worse=False)
    of_both = [
        f"allocation TOP-50, scope down_proj, sparsity 0.5, seed {seed}, from 0.005 to 0.68 at a "
        f"rate of 1000"
        for seed in (1, 2)
    ]
    assert str(caught.value) == (
        f"trainings ended with a higher held-out KL, in nats per token, than they began with: "
        f"{'; '.join(of_both)}: lower train.learning_rate, or set train.allow_worse to true"
    )
    assert len(trainings.tabulate_trainings(paths, "plateau", runs, allow_worse=True)) == 3


def test_a_training_may_have_converged_and_have_ended_worse_than_it_began(tmp_path):
    rows = [(0, 0, None, None, 0.5, ""), (1, 1, 9.0, 0.9, 0.7, "rate lowered")]
    curve = write_curve(tmp_path / "a.csv", [*rows, (2, 1, 4.5, 0.9, 0.6, "converged and worse")])
    (row,) = trainings.tabulate_trainings([curve], "plateau", [RUN], True).to_dict("records")
    assert (row["converged"], row["worse"]) == (True, True)


def test_a_study_without_trainings_has_an_empty_table_with_its_header():
    table = trainings.tabulate_trainings([], "plateau", [], False)
    assert list(table.columns) == trainings.TRAININGS
