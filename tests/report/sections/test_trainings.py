"""A report says of every training whether it is done."""

import pandas as pd

from spon.report.sections import trainings

RUN = {
    "allocation": "UNIF-ALL",
    "scope": "down_proj",
    "sparsity": 0.5,
    "seed": 0,
    "steps": 100,
    "converged": True,
    "worse": False,
    "learning_rate": 0.01,
    "held_out_kl_start": 0.0071,
    "held_out_kl": 0.0064,
    "last_tenth_percent": 0.25,
}
CAPPED = RUN | {"seed": 1, "steps": 400, "converged": False, "last_tenth_percent": 1.5}


def test_the_trainings_of_an_allocation_are_one_row_with_their_ranges():
    text = trainings.describe_trainings(pd.DataFrame([RUN, CAPPED]))
    row = "| UNIF-ALL | 50 % | 1/2 | 100 to 400 | 0.01 | 7.1 → 6.4 | 0.25 to 1.50 % |"
    assert row in text
    assert "1 of 2 trainings is converged by the rule." in text


def test_trainings_that_ended_worse_than_they_began_are_named():
    text = trainings.describe_trainings(pd.DataFrame([RUN, CAPPED | {"worse": True}]))
    sentence = "Ended with a higher held-out KL than they began with: UNIF-ALL at 50 %, seed 1."
    assert text.endswith(f"is converged by the rule. {sentence}")
    assert "higher" not in trainings.describe_trainings(pd.DataFrame([RUN]))


def test_trainings_that_are_all_done_are_said_to_be():
    assert trainings.count_converged(pd.DataFrame([RUN, RUN])) == (
        "All 2 trainings are converged by the rule."
    )


def test_without_a_rule_nothing_is_said_to_be_converged_or_not():
    text = trainings.describe_trainings(pd.DataFrame([RUN | {"converged": None}]))
    assert "| UNIF-ALL | 50 % | n/a | 100 |" in text
    assert "no rule says whether they are done" in text
    assert trainings.describe_trainings(pd.DataFrame([RUN]).iloc[:0]) == ""


def test_a_few_trainings_are_named_and_many_are_counted():
    few = pd.DataFrame([RUN, CAPPED])
    assert trainings.name_trainings(few) == (
        "UNIF-ALL at 50 %, seed 0 and UNIF-ALL at 50 %, seed 1"
    )
    many = pd.DataFrame([RUN | {"seed": seed} for seed in range(7)])
    assert trainings.name_trainings(many) == "7 of UNIF-ALL at 50 %"
