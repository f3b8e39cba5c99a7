"""What controls reach of the trained gain, and where they are as good."""

import pandas as pd
import pytest
from small_findings import write

from spon.report.sections import controls

ROW = {
    "control": "mean_residual",
    "allocation": "UNIF-ALL",
    "scope": "down_proj",
    "sparsity": 0.5,
    "seed": 0,
    "seeds": 1,
    "measure": "nll",
    "p_holm": 0.01,
}
ROW |= {"difference_nats_per_token": 0.1}
ROW |= {"share_of_trained_percent": 40.0, "share_low": 30.0, "share_high": 50.0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "40 [30, 50]"),
        ({"p_holm": 0.2}, "40 [30, 50] ="),
        ({"difference_nats_per_token": -0.1}, "40 [30, 50] >"),
        ({"share_of_trained_percent": float("nan")}, "n/a"),
    ],
)
def test_a_share_is_marked_where_training_is_not_better(changes, words):
    assert controls.say_share(pd.Series(ROW | changes)) == words


def test_controls_stand_beside_the_allocation_that_has_untrained_biases_beside_it():
    # The mean residual reaches half of the gain by both measures; TOP-50 has none beside it.
    text = write().split("## Controls")[1].split("\n## ")[0]
    assert "| UNIF-ALL | 50 % | 50 [50, 50] / 50 [50, 50] | 40 [40, 40] / 10 [10, 10] |" in text
    assert "| TOP-50 |" not in text


def test_the_first_page_has_the_range_of_every_control_but_random_directions():
    kl = ROW | {"measure": "kl", "share_of_trained_percent": 60.0}
    rows = [ROW, kl, ROW | {"sparsity": 0.8, "share_of_trained_percent": 50.0}]
    rows.append(ROW | {"control": "random"})
    text = controls.summarise_shares(pd.DataFrame(rows))
    assert text == "- mean residual: down_proj 60 % / 40 to 50 %"


def test_without_an_untrained_bias_there_is_no_control_to_describe():
    alone = pd.DataFrame([ROW | {"control": "temperature"}])
    assert controls.describe_controls(alone) == ""
    assert controls.summarise_shares(alone) == ""
