"""What is said of tasks follows from differences and their standard errors."""

import pandas as pd
import pytest
from small_findings import FACTS, row, tabulate

from spon.report.findings import write_findings
from spon.report.sections import tasks

NAMES = ["allocation", "scope", "sparsity", "seed", "temperature", "value", "standard_error"]
COLUMNS = [
    *NAMES,
    *(f"{kind}_{name}" for name in tasks.REFERENCES for kind in ("difference", "error")),
]
NONE = (None, None)


def make(lost=-0.1, won=0.05, higher=True):
    rows = [
        ("DENSE", None, 0.0, None, 1.0, 0.5, 0.03, *NONE, *NONE, *NONE),
        ("BASELINE-TEAL", "down_proj", 0.5, None, 1.0, 0.4, 0.03, lost, 0.02, *NONE, *NONE),
        ("BASELINE-TEAL", "down_proj", 0.5, None, 1.2, 0.4, 0.03, lost, 0.02, 0.0, 0.0, *NONE),
        ("UNIF-ALL", "down_proj", 0.5, 0, 1.0, 0.45, 0.03, -0.05, 0.02, won, 0.02, won, 0.02),
    ]
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS[5:], float))
    return table.assign(
        task="mine",
        metric="acc",
        documents=400,
        chance=0.25,
        higher_is_better=higher,
        harness="lm_eval 0.4.13",
    )


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        (
            {},
            [
                "TEAL is worse than the dense model at down_proj 50 %.",
                "Biases are better than TEAL at down_proj 50 % (UNIF-ALL, seed 0).",
            ],
        ),
        (
            {"lost": -0.03, "won": 0.03},
            [
                "TEAL is nowhere shown to differ from the dense model.",
                "Biases are nowhere shown to differ from TEAL.",
            ],
        ),
        (
            {"higher": False},
            ["TEAL is better than the dense model", "Biases are worse than TEAL at"],
        ),
    ],
)
def test_a_difference_is_one_beyond_its_error_and_lower_nats_are_better(changes, sentences):
    text = tasks.describe_tasks(make(**changes))
    for sentence in sentences:
        assert sentence in text


def test_the_table_has_every_model_with_its_errors_and_what_guessing_gives():
    text = tasks.describe_tasks(make())
    assert "`mine` has 400 documents, of which guessing gets 25 %." in text
    assert "Measured by lm-eval 0.4.13 on the sparse model itself." in text
    run = row(text, "mine", "acc", "UNIF-ALL, seed 0")
    assert run[3:6] == ["down_proj 50 %", "0.4500 ± 0.0300", "-0.0500 ± 0.0200"]
    assert row(text, "mine", "acc", "TEAL tempered")[4] == "0.4000 ± 0.0300"


def test_the_findings_have_tasks_where_they_were_measured_and_else_say_nothing():
    without = write_findings("small", tabulate(), FACTS, {})
    with_tasks = write_findings("small", tabulate() | {"tasks": make()}, FACTS, {})
    assert "## Tasks" not in without
    assert "no task, no speed." in without
    assert "no task and no speed is measured" in without
    changed = with_tasks.replace(
        "Likelihood, KL divergence and tasks are measured: no speed.",
        "Only likelihood and KL divergence are measured: no task, no speed.",
    ).replace("no speed is measured", "no task and no speed is measured")
    before, _, rest = changed.partition("## Tasks\n")
    assert before in without
    assert without.endswith(rest.split("\n## ")[-1])
