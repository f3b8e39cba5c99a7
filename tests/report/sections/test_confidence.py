"""What of a gain is confidence follows from likelihoods at temperatures."""

import pandas as pd
import pytest
from small_findings import MEAN_DOWN, SETTINGS, tabulate, write
from small_study import DENSE, TEAL, gather, score

from spon.report.sections import confidence
from spon.tables import perplexity

ROW = {"allocation": "UNIF-ALL", "scope": "down_proj", "sparsity": 0.5, "gain_low": 0.1}
ROW |= {
    "temperature_share": 40.0,
    "is_beaten": False,
    "own_share": 60.0,
    "repaired": 25.0,
    "repaired_low": 24.0,
}
ON_DENSE = {"allocation": "UNIF-ALL", "scope": "down_proj", "sparsity": 0.5, "seed": 0}
ON_DENSE |= {"seeds": 1, "control": "dense_model", "measure": "nll"}
ON_DENSE |= {"control_low": 0.01, "control_high": 0.03, "share_of_trained_percent": 40.0}


def test_a_gain_is_divided_into_what_a_temperature_reaches_and_what_is_left():
    # TEAL cools by 0.04 nats, the biases by 0.01; they gain 0.1 nats as they are.
    warm = TEAL.assign(nll_at_temperature_nats=TEAL["nll_at_temperature_nats"] - 0.3)
    outcomes = gather(DENSE, warm, score("UNIF-ALL", "down_proj", 0.5, 0, 2.4, 0.3))
    tables = (
        perplexity.tabulate_perplexity(outcomes),
        perplexity.tabulate_damage_recovery(outcomes),
    )
    (shares,) = confidence.weigh_confidence(*tables, {}).to_dict("records")
    assert shares["temperature_share"] == pytest.approx(40)
    assert shares["own_share"] == pytest.approx(70)
    assert shares["repaired"] == pytest.approx(25)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "60 % of the gain is left, so most of it is not confidence."),
        ({"own_share": 20.0}, "20 % of the gain is left, so most of it is confidence."),
        ({"is_beaten": True}, "gain in log-likelihood: more than they do everywhere."),
        # More by the numbers, and not by the test.
        (
            {"temperature_share": 150.0},
            "gains 150 % of what the trained biases gain in log-likelihood.",
        ),
        ({"gain_low": -0.1}, "No gain in log-likelihood can be shown"),
        ({"gain_low": float("nan")}, "No gain in log-likelihood can be shown"),
    ],
)
def test_what_is_confidence_is_said_by_the_shares(changes, words):
    assert words in confidence.conclude_confidence(pd.DataFrame([ROW | changes]))


def test_repair_is_claimed_only_where_the_interval_shows_it():
    shares = pd.DataFrame([ROW, ROW | {"sparsity": 0.8, "repaired": 9.0, "repaired_low": -1.0}])
    assert "take 25.0 % off the KL divergence from the dense model with UNIF-ALL at 50 %" in (
        confidence.conclude_repair(shares)
    )
    assert "can be shown" in confidence.conclude_repair(shares.iloc[1:])


def test_a_study_of_controls_alone_has_no_gain_to_divide():
    outcomes = gather(DENSE, TEAL, MEAN_DOWN)
    tables = (
        perplexity.tabulate_perplexity(outcomes),
        perplexity.tabulate_damage_recovery(outcomes),
    )
    shares = confidence.weigh_confidence(*tables, SETTINGS)
    assert "can be shown" in confidence.conclude_repair(shares)
    assert "can be shown" in confidence.conclude_confidence(shares)


def test_where_places_differ_they_are_named():
    shares = pd.DataFrame([ROW, ROW | {"sparsity": 0.8, "own_share": 20.0}])
    text = confidence.conclude_confidence(shares)
    assert "so most of it is confidence with UNIF-ALL at 80 %." in text


def test_biases_on_the_dense_model_are_told_with_and_without_its_own_temperature():
    own = ON_DENSE | {"measure": "nll_at_temperature", "control_low": -0.01}
    text = confidence.conclude_on_dense(pd.DataFrame([ON_DENSE, own]))
    assert (
        "As it is, the same biases raise log-likelihood with UNIF-ALL at 50 % by 40 % of their "
        "gain on the sparse model."
    ) in text
    assert "temperature, they change nothing that can be shown with UNIF-ALL at 50 %." in text
    assert confidence.conclude_on_dense(None) == ""
    other = pd.DataFrame([ON_DENSE | {"control": "mean_residual"}])
    assert confidence.conclude_on_dense(other) == ""


def test_every_model_of_a_place_has_a_row():
    text = write().split("## Repair or confidence?")[1].split("\n## ")[0]
    # TEAL loses 0.5 nats to the dense model, 0.4 by KL; every model here cools by 0.01.
    row = "| TEAL | down_proj 50 % | 400.0 | 200.0, 2000.0 | 2.5000 | 1.100 | 2.4900 |"
    assert row in text
    assert "| dense |  | 0.0 |" in text
    assert "| MEAN-DOWN | down_proj 50 % |" in text
    # Of the trained allocations of a scope, only the largest.
    assert "| TOP-50 |" not in text
    assert set(tabulate()["perplexity"]["allocation"]) >= {"TOP-50"}


def test_a_temperature_gains_more_only_where_the_adjusted_test_says_so():
    row = {"control": "temperature", "measure": "nll", "allocation": "UNIF-ALL", "seeds": 1}
    row |= {"scope": "down_proj", "sparsity": 0.5, "p_holm": 0.01}
    row |= {"difference_nats_per_token": -0.1}
    others = [row | {"sparsity": 0.6, "p_holm": 0.2}, row | {"sparsity": 0.7, "measure": "kl"}]
    others += [row | {"sparsity": 0.8, "difference_nats_per_token": 0.1}]
    beaten = confidence.find_beaten(pd.DataFrame([row, *others]))
    assert beaten == {("UNIF-ALL", "down_proj", 0.5)}
    assert confidence.find_beaten(None) == set()
