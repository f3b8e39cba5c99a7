"""The conclusions on each control follow its intervals and p-values."""

import pandas as pd
import pytest
from small_study import ALL, gather, score

from spon.report.findings import write_findings
from spon.report.sections.controls import conclude_dense, conclude_mean_residual, conclude_random
from spon.tables import controls


@pytest.mark.parametrize(
    ("gain", "words"), [(2.45, "alone reaches 50 % of its gain"), (2.51, "no gain of its own")]
)
def test_training_earns_its_cost_beside_what_the_mean_residual_gains(gain, words):
    outcomes = gather(*ALL, score("MEAN-DOWN", "down_proj", 0.5, 0, gain, 0.35))
    table = controls.tabulate_controls(
        outcomes, controls.NO_BLOCKS, controls.NO_BLOCKS, resamples=200, seed=0
    )
    text = write_findings("small", {"controls": table}, {}, {})
    assert "At down_proj, training earns its cost" in text
    assert words in text


ROW = {
    "allocation": "UNIF-ALL",
    "scope": "down_proj",
    "sparsity": 0.5,
    "seed": 0,
    "measure": "nll",
    "p_holm": 0.01,
}
ROW |= {"difference_nats_per_token": 0.1, "control_low": 0.01, "control_high": 0.03}
ROW |= {"share_of_trained_percent": 40.0, "share_low": 30.0, "share_high": 50.0}


def say(conclude, **changes):
    return conclude(pd.DataFrame([ROW | changes]))


def test_training_earns_its_cost_only_if_the_adjusted_p_value_says_so():
    assert say(conclude_mean_residual) == (
        "At down_proj, training earns its cost, though the mean residual alone reaches 40 % of "
        "its gain."
    )
    assert "not to be told from the mean residual" in say(conclude_mean_residual, p_holm=0.2)
    worse = say(conclude_mean_residual, difference_nats_per_token=-0.1)
    assert worse == "At down_proj, at 50 % the mean residual, which needs no training, is better."


def test_a_direction_counts_only_if_random_ones_do_worse():
    assert "direction of the biases that helps" in say(conclude_random)
    tied = say(conclude_random, p_holm=0.2)
    assert tied == "No such difference can be shown with UNIF-ALL at 50 %."
    worse = say(conclude_random, control_high=-0.01)
    assert "Each of the draws makes the likelihood worse" in worse


def test_a_likelihood_that_rises_on_the_dense_model_is_adaptation():
    assert "by 40 % of what the biases gain" in say(conclude_dense)
    falls = say(conclude_dense, control_low=-0.03, control_high=-0.01)
    assert "no adaptation shows there" in falls
    assert "no change of the likelihood can be shown" in say(conclude_dense, control_low=-0.01)
