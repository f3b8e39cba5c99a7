"""Which gains stay on another text follows from two intervals."""

import pandas as pd
import pytest
from small_findings import FACTS, SETTINGS, row, tabulate, write

from spon.report.findings import write_findings
from spon.report.sections import texts

PLACE = {"allocation": "UNIF-ALL", "scope": "down_proj", "sparsity": 0.5, "seed": 0, "seeds": 1}
LEVELS = {"dense": 10.0, "teal": 12.0, "spon": 11.0}
OF_TEXTS = {
    "evaluation": {"path": "pydoc", "split": "evaluation", "blocks": 60},
    "wiki": {"path": "owner/wiki", "name": "raw", "split": "test", "blocks": 1200},
}
OF_STUDY = SETTINGS | {"study": SETTINGS["study"] | {"text": OF_TEXTS}}


def make(kl, nll, allocation="UNIF-ALL"):
    """Rows of two texts: by measure the intervals on the first and on the other."""
    rows = []
    for number, text in enumerate(("evaluation", "wiki")):
        for measure, ends in {"kl": kl, "nll": nll, "perplexity": nll}.items():
            low, high = ends[number]
            interval = {"low": 1.0 * low, "high": 1.0 * high, "recovery_percent": (low + high) / 2}
            names = {"text": text, "measure": measure, "allocation": allocation}
            rows.append(PLACE | LEVELS | names | interval)
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("there", "fate", "smaller", "larger"),
    [
        ((18, 25), texts.STAYS, False, False),
        ((2, 4), texts.STAYS, True, False),
        ((40, 50), texts.STAYS, False, True),
        ((-1, 5), texts.VANISHES, True, False),
        ((-1, 25), texts.OPEN, False, False),
        ((-9, -2), texts.HARMS, True, False),
        ((float("nan"), float("nan")), texts.OPEN, False, False),
    ],
)
def test_a_gain_of_20_to_30_stays_vanishes_or_is_left_open_by_its_other_interval(
    there, fate, smaller, larger
):
    table = make(kl=((20, 30), there), nll=((-5, 5), (1, 2)))
    (judged,) = texts.judge_gains(table, "evaluation", "wiki").to_dict("records")
    assert judged["measure"] == "kl"  # no gain in log-likelihood is shown, so none can stay
    assert (judged["fate"], judged["smaller"], judged["larger"]) == (fate, smaller, larger)


def test_the_section_names_the_texts_and_puts_damage_and_gains_side_by_side():
    table = make(kl=((20, 30), (18, 25)), nll=((10, 12), (-1, 5)))
    tables = tabulate() | {"texts": table}
    text = write_findings(
        "small", tables, FACTS | {"settings": OF_STUDY}, {"fig9_other_text": "fig9.png"}
    )
    section = text.split("## On another text\n")[1].split("\n## ")[0]
    assert "*wiki*: `owner/wiki`, raw, split `test`, 1,200 blocks" in section
    # 12 over 10 in perplexity, and 12 nats of KL.
    assert "| down_proj | 50 % | +20.00 % | 12000.0 | +20.00 % | 12000.0 |" in section
    assert row(section, "down_proj", "50 %", "UNIF-ALL")[3:5] == [
        "25.0 % [20.0, 30.0]",
        "21.5 % [18.0, 25.0]",
    ]
    assert "By KL divergence, 1 of 1 gains stay." in section
    assert "By log-likelihood, 0 of 1 gains stay; 1 vanishes (UNIF-ALL at 50 %)." in section
    assert "![Share of TEAL's damage that is won back on each text](fig9.png)" in section
    line = "on wiki, 1 of 1 by KL divergence and 0 of 1 by log-likelihood."
    assert line in text.split("\n## ")[1]
    assert "2 kinds of text" in text


def test_a_study_of_one_text_has_no_such_section():
    assert "another text" not in write()
    one = make(kl=((20, 30), (18, 25)), nll=((10, 12), (-1, 5)))
    one = one[one["text"] == "evaluation"]
    assert texts.describe_other_text(one, OF_STUDY) == ""


def test_rows_are_in_the_order_of_the_table_though_some_have_several_trainings():
    intervals = {"kl": ((20, 30), (18, 25)), "nll": ((10, 12), (8, 9))}
    first, second = make(**intervals), make(**intervals, allocation="TOP-50")
    mean = first.assign(seed=None, seeds=2)
    kept = texts.keep_rows(pd.concat([first, second, mean], ignore_index=True), SETTINGS)
    assert kept["allocation"].drop_duplicates().tolist() == ["UNIF-ALL", "TOP-50"]
    assert kept["seeds"].tolist() == [2] * 6 + [1] * 6


def test_controls_are_no_gains_that_stay():
    table = make(kl=((20, 30), (18, 25)), nll=((10, 12), (8, 9)), allocation="MEAN-DOWN")
    assert texts.summarise_texts(table, SETTINGS) == (
        "**On another text.** Gains of trained biases that stay: on wiki, n/a."
    )
